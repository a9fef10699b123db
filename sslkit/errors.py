"""The one error that is meant for the person at the terminal, and words for others."""


class UserError(Exception):
    """Something the user can mend: a typo, a missing file, an impossible size.

    The message says what came, what was wanted and the next move, in one line
    where it can. The command line prints it without a traceback and exits with 2.
    """


def first_line(error: BaseException) -> str:
    """Returns the first line of what an exception says, without a full stop.

    Returns:
        The words of the system for an error of it, which leave out number and path;
        the type's name where an exception says nothing.
    """
    text = getattr(error, "strerror", None) or getattr(error, "message", None)
    lines = str(text or error).strip().splitlines()
    return lines[0].rstrip().rstrip(".") if lines else type(error).__name__
