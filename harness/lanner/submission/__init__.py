"""One file that says what a method reached and how, for a maintainer to run again.

It holds no prediction: whoever verifies it has the dataset, and the method by its digest or its folder.
"""

from lanner.submission.document import FORMAT, read, submission_of, write
from lanner.submission.verification import TOLERANCE, verify

__all__ = ["FORMAT", "TOLERANCE", "read", "submission_of", "verify", "write"]
