"""Errors that a user can act on."""


class InputError(Exception):
    """Something the user gave is wrong; the text names what, where and the remedy.

    A command line turns it into one logged line and exit status 1, without a traceback.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem} Remedy: {remedy}")
        self.problem = problem
        self.remedy = remedy
