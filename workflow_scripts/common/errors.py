"""Errors that a user can act on."""

# A step whose case cannot be used ends with this status, and has said the sentence: Snakemake does not try it again.
DATA_STATUS = 65  # EX_DATAERR of sysexits.h
HOPELESS = f"status {DATA_STATUS}: another try would end in the same way"


class InputError(Exception):
    """Something the user gave is wrong; the text names what, where and the remedy.

    A command line turns it into one logged line, without a traceback, and exit status 1, or `DATA_STATUS` for a case.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} Remedy: {remedy}")
        self.problem = problem
        self.remedy = remedy


class MemoryShortage(InputError):
    """A lack of memory, which another try may have more of."""
