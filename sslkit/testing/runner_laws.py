"""Laws of runners."""

from __future__ import annotations

import functools

import numpy as np

from sslkit.api import Runner, UserError
from sslkit.runners.single import Single
from sslkit.testing.comparison import differences
from sslkit.testing.law import Broken, Elsewhere, Subject
from sslkit.testing.toy import ToyRun, train_on

WITHIN = 1e-9
"""What five steps in float64 may differ by."""


def _runner(subject: Subject) -> Runner:
    """Makes the runner; `Elsewhere` where its devices are not."""
    runner = subject.make()
    try:
        runner.strategy  # noqa: B018
    except UserError as error:
        raise Elsewhere(f"{subject.title} cannot run here: {error}") from error
    return runner


def describes_itself_the_same_each_time(subject: Subject) -> None:
    """Two strategies of one runner held variables that could not meet."""
    runner = _runner(subject)
    if runner.strategy is not runner.strategy:
        raise Broken(
            "`strategy` makes a new one each time", "Use functools.cached_property"
        )
    for name in ("is_chief", "jit"):
        value = getattr(runner, name)
        if not isinstance(value, bool):
            raise Broken(f"`{name}` is {value!r}", "Return True or False")


def trains_as_single_does(subject: Subject) -> None:
    """A runner lost examples, or summed where it should average."""
    differs_from_single(train_on(_runner(subject)))


def differs_from_single(found: ToyRun) -> None:
    """Compares a toy run with the same on one device.

    Raises:
        Broken: if they differ.
    """
    wanted = _on_one_device()
    # Losses are reported in float32.
    if not np.allclose(found.losses, wanted.losses, rtol=1e-6, atol=1e-6):
        raise Broken(
            f"the losses of a toy run are {found.losses} and on one device "
            f"{wanted.losses}",
            "Give consecutive elements of a host's pipeline to its replicas in order, "
            "and every example to one of them",
        )
    where = differences(found.table, wanted.table, within=WITHIN)
    if where:
        raise Broken(
            f"after a toy run it differs from one device: {where}",
            "Run each step once on every replica, under strategy.run",
        )


@functools.cache
def _on_one_device() -> ToyRun:
    return train_on(Single(device="CPU:0", jit=False))
