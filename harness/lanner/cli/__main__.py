"""``python -m lanner.cli``, the form in which engines start ``exec``."""

from lanner.cli import main

main()
