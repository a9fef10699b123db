"""Work that goes on in a thread while the run does its next steps."""

from __future__ import annotations

import threading
from collections.abc import Callable

_NAME = "sslkit-save"


def busy() -> bool:
    """Returns whether any work is under way in this process.

    Python cannot end a thread that is inside TensorFlow: at its exit it would abort.
    """
    return any(thread.name == _NAME for thread in threading.enumerate())


class Behind:
    """Does one thing at a time, and keeps what went wrong until somebody asks."""

    def __init__(self) -> None:
        """Starts with nothing to do."""
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def start(self, work: Callable[[], object]) -> None:
        """Starts something, once what came before is done.

        Raises:
            BaseException: what the work before has raised; this is not started then.
        """
        self.wait()

        def attempt() -> None:
            try:
                work()
            except BaseException as error:
                self._failure = error

        # A daemon: who stops at once, by a second signal, does not wait for it.
        self._thread = threading.Thread(target=attempt, name=_NAME, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises what the work has raised, if it is over; waits for nothing."""
        if self._thread is None or not self._thread.is_alive():
            self.wait()

    def join(self) -> None:
        """Waits until the work is done; what it has raised is kept."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def wait(self) -> None:
        """Waits until the work is done, and raises what it has raised, once."""
        self.join()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
