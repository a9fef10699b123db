"""Laws of reporters: they accept everything that a run reports."""

from __future__ import annotations

import contextlib
import math
import os
import struct
import tempfile
import zlib
from collections.abc import Iterator

from sslkit.api import Reporter, RunInfo, UserError
from sslkit.plugins import describe
from sslkit.testing.law import Broken, Subject, Unavailable

_STEPS = 20
_RESULT = {
    "step": _STEPS,
    "rows": [
        {
            "protocol": "kNN (k=20, T=0.07)",
            "representation": "trained encoder",
            "top1": 0.5,
            "top5": 0.75,
            "n_train": 10,
            "n_test": 10,
            "detail": "",
        }
    ],
    "health": {},
    "health_split": "test",
    "notes": [],
}


def creates_nothing_before_open(subject: Subject) -> None:
    """For a run that was refused, there was already a new folder or a connection."""
    with _folder() as folder, contextlib.chdir(folder):
        _reporter(subject)
        made = os.listdir(folder)
    if made:
        raise Broken(
            f"its constructor or `check` creates {', '.join(sorted(made))}",
            "Create files in `open`, which gets the run's folder",
        )


def accepts_everything_that_a_run_reports(subject: Subject) -> None:
    """A number that was not finite, or a run without numbers, made a reporter fail."""
    with _folder() as folder:
        reporter = _reporter(subject)
        with _heard("a whole run"):
            reporter.open(_info(folder))
            reporter.write(10, {"loss": 1.5}, time=1.0, machine={"device": "CPU"})
            reporter.write(
                11, {"loss": math.nan, "norm": math.inf}, time=2.0, machine={}
            )
            reporter.write(12, {}, time=3.0, machine={"views_per_second": 7.5})
            reporter.picture("views", _png(), step=0)
            reporter.close()
    with _folder() as folder, _heard("a run without reports"):
        empty = _reporter(subject)
        empty.open(_info(folder, config="", settings={}))
        empty.close()


def continues_a_run_that_was_stopped(subject: Subject) -> None:
    """The second start of a run found the files of the first, and failed."""
    with _folder() as folder:
        for start in (0, 10):
            reporter = _reporter(subject)
            with _heard(f"a run that is at step {start}"):
                reporter.open(_info(folder, start=start))
                reporter.write(start + 10, {"loss": 1.0}, time=1.0, machine={})
                reporter.close()


def accepts_a_result_without_open(subject: Subject) -> None:
    """Accuracies that came after the run's reports were closed were lost."""
    with _folder() as folder:
        reporter = _reporter(subject)
        with _heard("accuracies, without `open`"):
            reporter.result(_info(folder, start=_STEPS), _RESULT)


def _reporter(subject: Subject) -> Reporter:
    """Makes the reporter; skips the law if this machine lacks what it needs."""
    reporter = subject.make()
    try:
        reporter.check()
    except UserError as error:
        raise Unavailable(f"{subject.title} cannot report here: {error}") from error
    return reporter


@contextlib.contextmanager
def _heard(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise Broken(
            f"for {what} it raises {describe(error)}",
            "Accept everything that a run reports; see `sslkit.api.Reporter`",
        ) from error


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="sslkit-") as folder:
        yield folder


def _info(
    folder: str,
    *,
    start: int = 0,
    config: str = "train.seed = 1\n",
    settings: dict[str, bool | int | float | str] | None = None,
) -> RunInfo:
    known: dict[str, bool | int | float | str] = {
        "train.seed": 1,
        "data.name": "digits",
        "on": True,
        "rate": 0.5,
    }
    return RunInfo(
        workdir=os.path.join(folder, "W"),
        start=start,
        steps=_STEPS,
        config=config,
        settings=known if settings is None else settings,
        facts={"tensorflow": "2"},
    )


def _png() -> bytes:
    """Returns a gray picture of one pixel."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        size, check = len(content), zlib.crc32(checked)
        return struct.pack(">I", size) + checked + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\x00\x80"))
        + chunk(b"IEND", b"")
    )
