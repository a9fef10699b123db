"""The progress line of a run: live on a terminal, plain in a log."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import NamedTuple

import rich.console
import rich.progress
from rich.text import Text

_WINDOW = 30.0
"""Seconds over which rates are averaged."""
_SHOWN = {
    "loss": "loss {:.4f}",
    "learning_rate": "lr {:.3g}",
    "knn_top1": "kNN {:.1%}",
}
"""Metrics on the line. The last known value stays, because kNN is measured seldom."""
_NOT_SHOWN = ("gradient_norm", "health", "refused")
"""Other names with these beginnings are not shown; the rest are the objective's."""
_MOST = 4
"""The most numbers of the objective on the line."""


class _Mark(NamedTuple):
    time: float
    step: int
    views: int


class _Live(rich.progress.ProgressColumn):
    """A text that is made anew whenever the bar is drawn."""

    def __init__(self, text: Callable[[], str]):
        super().__init__()
        self._text = text

    def render(self, task: rich.progress.Task) -> Text:
        return Text(self._text())


class Progress:
    """Shows step, loss, rate, kNN, the objective's metrics, speed and times.

    On a terminal it is a bar that moves; elsewhere a plain line at the first update,
    about every ten seconds, and at the end.

        with Progress(total_steps, start_step) as progress:
            progress.update(step, {"loss": 1.2, "learning_rate": 0.1}, views=512)
            progress.note("checkpoint saved: W/checkpoints/100")
    """

    def __init__(
        self,
        total_steps: int,
        start_step: int = 0,
        *,
        first: str = "",
        console: rich.console.Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        every: float = 10.0,
    ) -> None:
        """Prepares the line; nothing is printed before `with`.

        Args:
            total_steps: updates of the whole run.
            start_step: updates done before this process took over.
            first: what happens before the first update, and may take minutes, such as
                "compiling the step"; it is printed, with its duration at the end.
            console: where to print; standard output if None.
            clock: seconds, monotonic.
            every: seconds between two plain lines.
        """
        self._total = total_steps
        self._step = start_step
        self._first = first
        self._console = console or rich.console.Console()
        self._clock = clock
        self._every = every
        self._marks: deque[_Mark] = deque()
        self._views = 0
        self._warm = False
        self._latest: dict[str, float] = {}
        self._printed_at: float | None = None
        self._printed_step: int | None = None
        self._bar: rich.progress.Progress | None = None

    def __enter__(self) -> Progress:
        """Starts the clock and, on a terminal, the bar."""
        self._began = self._clock()
        self._marks.append(_Mark(self._began, self._step, self._views))
        if self._console.is_terminal:
            self._bar = rich.progress.Progress(
                rich.progress.BarColumn(bar_width=20),
                rich.progress.TextColumn("{task.fields[status]}", markup=False),
                _Live(self._waiting),
                console=self._console,
                auto_refresh=True,
            )
            self._task = self._bar.add_task(
                "", total=self._total, completed=self._step, status=self._status()
            )
            self._bar.start()
        elif self._first:
            self.note(f"{self._first} ...")
        return self

    def update(self, step: int, metrics: Mapping[str, float], views: int) -> None:
        """Shows that the run has reached `step`.

        Args:
            step: updates done.
            metrics: name -> number; `loss`, `learning_rate`, `knn_top1` (a share in
                [0, 1]) and the first few of the objective's are shown.
            views: image views processed since the last update, over all replicas.
        """
        now = self._clock()
        self._step = step
        self._views += views
        self._latest |= {
            k: float(v) for k, v in metrics.items() if not k.startswith(_NOT_SHOWN)
        }
        if not self._warm:
            self._warm = True
            if self._first:
                spent = round(now - self._marks[0].time, 1)
                self.note(f"{self._first} took {duration(spent)}")
            # The first call compiles the step; its time is not that of later ones.
            self._marks.clear()
        self._marks.append(_Mark(now, step, self._views))
        while len(self._marks) > 2 and now - self._marks[1].time >= _WINDOW:
            self._marks.popleft()
        if self._bar is not None:
            self._bar.update(self._task, completed=step, status=self._status())
        elif self._printed_at is None or now - self._printed_at >= self._every:
            self._print_line(now)

    def _waiting(self) -> str:
        if self._warm or not self._first:
            return ""
        spent = int(self._clock() - self._marks[0].time)
        return f"{self._first} {duration(spent)}"

    def note(self, text: str) -> None:
        """Prints a line of its own, above the bar where there is one."""
        self._console.print(Text(text), soft_wrap=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stops the bar, or prints the last line if it is not printed yet."""
        if self._bar is not None:
            self._bar.stop()
        elif self._printed_step != self._step:
            self._print_line(self._clock())

    def _print_line(self, now: float) -> None:
        self._printed_at, self._printed_step = now, self._step
        self._console.print(Text(self._status()), soft_wrap=True)

    def _status(self) -> str:
        first, last = self._marks[0], self._marks[-1]
        parts = [f"step {self._step}/{self._total}"]
        parts += [
            form.format(self._latest[name])
            for name, form in _SHOWN.items()
            if name in self._latest
        ]
        others = [name for name in self._latest if name not in _SHOWN]
        parts += [f"{name} {self._latest[name]:.3g}" for name in others[:_MOST]]
        seconds = last.time - first.time
        if seconds > 0 and last.step > first.step:
            parts.append(f"{(last.views - first.views) / seconds:,.0f} views/s")
            parts.append(f"{duration(round(last.time - self._began))} elapsed")
            left = (self._total - self._step) * seconds / (last.step - first.step)
            if left > 0:
                parts.append(f"{duration(round(left))} left")
        return "  ".join(parts)


def duration(seconds: float) -> str:
    """Returns a length of time for people, e.g. `3h 07m`, `42s`, `2.35s` or `8.1ms`."""
    if seconds != round(seconds) and seconds < 10:
        return f"{1000 * seconds:.3g}ms" if seconds < 1 else f"{seconds:.3g}s"
    total = round(seconds)
    if total < 60:
        return f"{total}s"
    minutes, second = divmod(total, 60)
    if minutes < 60:
        return f"{minutes}m {second:02d}s"
    hours, minute = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h {minute:02d}m"
    days, hour = divmod(hours, 24)
    return f"{days}d {hour:02d}h"
