"""Stopping a run between two steps instead of in the middle of one."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType

from sslkit.errors import Rewound, Stopped

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def stopping() -> Iterator[None]:
    """Turns Ctrl-C and termination into an exception, so that nothing is left behind.

    Without this, a termination signal ends a process at once and leaves its claim of
    the folder. It is used in all of a run except its steps, which `Interrupt` lets
    finish.

    Raises:
        Stopped: after a signal.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        raise Stopped(f"stopped by {signal.Signals(number).name}")

    # Only the main thread may set handlers; elsewhere signals stay as they are.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Interrupt:
    """Turns the first Ctrl-C or termination signal into a request.

    The loop looks at `requested` between steps, so that it can save first. A second
    signal acts as it always did.

    Attributes:
        requested: the signal that came, or None.
    """

    def __init__(self) -> None:
        """Keeps the options; see the class."""
        self.requested: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Interrupt:
        """Installs the handlers."""
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Restores the earlier handlers, and passes a late signal on to them."""
        self._restore()
        goes_on = kind is None or issubclass(kind, Rewound)
        if self.requested is not None and goes_on:
            signal.raise_signal(self.requested)

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}
