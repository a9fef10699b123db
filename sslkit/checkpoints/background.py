"""Work in a background thread, while the run does its next steps."""

from __future__ import annotations

import threading
from collections.abc import Callable

_NAME = "sslkit-save"


def busy() -> bool:
    """Returns whether any work is in progress in this process.

    Python cannot end a thread that is in a call of TensorFlow: its exit would abort.
    """
    return any(thread.name == _NAME for thread in threading.enumerate())


class Background:
    """Does one task at a time, and keeps its error until it is asked for."""

    def __init__(self) -> None:
        """Starts with nothing to do."""
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def start(self, work: Callable[[], object]) -> None:
        """Starts a task when the one before is done.

        Raises:
            BaseException: the error of the task before; then this one is not started.
        """
        self.wait()

        def attempt() -> None:
            try:
                work()
            except BaseException as error:
                self._failure = error

        # A daemon: a process that a second signal stops does not wait for it.
        self._thread = threading.Thread(target=attempt, name=_NAME, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises the error of the task, if it has ended with one; does not wait."""
        if self._thread is None or not self._thread.is_alive():
            self.wait()

    def join(self) -> None:
        """Waits until the task is done; its error is kept."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def wait(self) -> None:
        """Waits until the task is done, and raises its error, once."""
        self.join()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
