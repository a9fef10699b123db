"""Passing a run's results to its reporters, whose errors do not end the run."""

from __future__ import annotations

import ast
import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import tensorflow as tf

from sslkit import environment
from sslkit.api import Augmentation, Reporter, RunInfo
from sslkit.errors import UserError, first_line
from sslkit.pictures import contact_sheet
from sslkit.reporter import Setting
from sslkit.reporters import MetricsFile, TensorBoard
from sslkit.secrets import hide
from sslkit.source import Source
from sslkit.training.actions import Action, Moment
from sslkit.training.machine import describe_devices
from sslkit.workdir import Workdir

_FAILURES = (Exception, SystemExit)


def chosen(reporters: Sequence[Reporter] | None) -> list[Reporter]:
    """Returns a run's reporters: always the metrics file, and those of the recipe.

    Args:
        reporters: what the recipe binds; None for the default, TensorBoard.
    """
    others: list[Reporter] = [TensorBoard()] if reporters is None else list(reporters)
    if any(isinstance(one, MetricsFile) for one in others):
        return others
    return [MetricsFile(), *others]


def run_info(
    workdir: Workdir, strategy: tf.distribute.Strategy, *, start: int, steps: int
) -> RunInfo:
    """Returns the information about a run that reporters receive.

    Args:
        workdir: the run's folder; its configuration may not be written yet.
        strategy: the devices of the run.
        start: updates that are done.
        steps: updates of the whole run.
    """
    text = hide(workdir.read_config()) if workdir.is_claimed() else ""
    return RunInfo(
        workdir=workdir.path,
        start=start,
        steps=steps,
        config=text,
        settings=settings(text),
        facts={**environment.facts(), "devices": describe_devices(strategy)},
    )


def settings(config: str) -> dict[str, Setting]:
    """Returns binding -> value of a resolved configuration.

    Args:
        config: gin text with a binding on each line.

    Returns:
        Numbers, strings and booleans as Python values; others as they are written.
    """
    found: dict[str, Setting] = {}
    for line in config.splitlines():
        name, equals, written = line.partition(" = ")
        if equals and not line.startswith("#"):
            found[name] = _value(written)
    return found


def _value(written: str) -> Setting:
    try:
        value = ast.literal_eval(written)
    except (ValueError, SyntaxError):
        return written
    return value if isinstance(value, bool | int | float | str) else written


class Reporting:
    """The reporters of one run, open while the context is.

    The first error of a reporter is printed as one line and the run goes on; an error
    of a `Reporter.required` reporter ends the run.

    Args:
        reporters: those of the run.
        run: the information with which they are opened.
        say: prints a line for the user.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        reporters: Sequence[Reporter],
        run: RunInfo,
        *,
        say: Callable[[str], None] = print,
        clock: Callable[[], float] = time.time,
    ):
        """Keeps the options; see the class."""
        self._reporters = list(reporters)
        self._run = run
        self.say = say
        self._clock = clock
        self._told: set[int] = set()

    def __enter__(self) -> Reporting:
        """Opens all reporters; one that cannot be opened is left out."""
        self._reporters = [
            one for one in self._reporters if self._attempt(one, one.open, self._run)
        ]
        return self

    def write(
        self,
        step: int,
        metrics: Mapping[str, float],
        machine: Mapping[str, Setting] | None = None,
    ) -> None:
        """Reports numbers; see `Reporter.write`."""
        now, about = self._clock(), machine or {}
        for one in self._reporters:
            self._attempt(one, one.write, step, metrics, time=now, machine=about)

    def picture(self, name: str, png: bytes, *, step: int) -> None:
        """Reports a picture; see `Reporter.picture`."""
        for one in self._reporters:
            self._attempt(one, one.picture, name, png, step=step)

    def result(self, result: Mapping[str, Any]) -> None:
        """Reports accuracies, outside the context; see `Reporter.result`."""
        for one in self._reporters:
            self._attempt(one, one.result, self._run, result)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes all; an error of closing does not replace an earlier error."""
        for one in self._reporters:
            with contextlib.suppress(UserError) if error else contextlib.nullcontext():
                self._attempt(one, one.close)

    def _attempt(
        self, reporter: Reporter, call: Callable[..., None], *args: Any, **named: Any
    ) -> bool:
        """Returns whether a call of a reporter succeeded."""
        try:
            call(*args, **named)
        except _FAILURES as error:
            if reporter.required:
                raise
            if id(reporter) not in self._told:
                self._told.add(id(reporter))
                self.say(
                    f"note: the reporter {type(reporter).__name__} failed "
                    f"({type(error).__name__}: {hide(first_line(error))}). The run "
                    "goes on; further errors of this reporter are not shown."
                )
            return False
        return True


class Views(Action):
    """Reports a contact sheet of the views, once the run is under way.

    It is drawn after a hundred steps, so as not to slow down a short trial. Views
    depend only on the run's seed: the picture is that of the first epoch whenever it is
    drawn.

    Args:
        source: the images.
        augmentation: makes the views.
        seed: of the run.
        start: updates that were done when the run went on.
        after: steps to wait.
        images: how many, one per row.
    """

    every = None
    needs_state = False

    def __init__(
        self,
        source: Source,
        augmentation: Augmentation,
        *,
        seed: int,
        start: int,
        after: int = 100,
        images: int = 4,
    ):
        """Keeps the options; see the class."""
        self._source = source
        self._augmentation = augmentation
        self._seed = seed
        self._after = after
        self._images = images
        self._due = start < after
        self._reporting: Reporting | None = None

    def to(self, reporting: Reporting) -> Views:
        """Sets who receives the picture; returns the action itself."""
        self._reporting = reporting
        return self

    def run(self, moment: Moment) -> None:
        """Implements `Action.run`."""
        if self._reporting is None or not self._due or moment.step < self._after:
            return
        self._due = False
        try:
            png = self._draw()
        except Exception as error:
            # For example if matplotlib is missing. The run goes on without the picture.
            self._reporting.say(f"note: no picture of the views: {first_line(error)}")
        else:
            self._reporting.picture("views", png, step=0)

    def _draw(self) -> bytes:
        sheet = contact_sheet.lines(
            self._source, self._augmentation, count=self._images, seed=self._seed
        )
        with tempfile.TemporaryDirectory(prefix="sslkit-") as folder:
            path = os.path.join(folder, "views.png")
            contact_sheet.write(sheet, path)
            with open(path, "rb") as file:
                return file.read()
