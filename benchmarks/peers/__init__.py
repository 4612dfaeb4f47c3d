"""Peers run side by side with Lanner: their own numbers (``tests/golden/peers``) and their speed.

    python -m benchmarks.peers --write     every peer on the small data, into tests/golden/peers
    python -m benchmarks.peers --check     the same, compared with what is committed
    python -m benchmarks.peers.speed       the paired table of speed and memory

Each peer lives in a virtual environment of its own, made from ``requirements/<peer>.txt``.
"""
