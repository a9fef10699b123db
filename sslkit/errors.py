"""The one error that is meant for the person at the terminal."""


class UserError(Exception):
    """Something the user can mend: a typo, a missing file, an impossible size.

    The message says what came, what was wanted and the next move, in one line
    where it can. The command line prints it without a traceback and exits with 2.
    """
