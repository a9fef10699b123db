"""Laws of runners."""

from __future__ import annotations

import functools

import numpy as np

from sslkit.api import Runner, UserError
from sslkit.runners.single import Single
from sslkit.testing.comparison import differences
from sslkit.testing.law import Broken, Subject, Unavailable
from sslkit.testing.toy import ToyRun, train_on

WITHIN = 1e-9
"""The largest difference after five steps in float64."""


def _runner(subject: Subject) -> Runner:
    """Makes the runner; `Unavailable` where its devices are not."""
    runner = subject.make()
    try:
        runner.strategy  # noqa: B018
    except UserError as error:
        raise Unavailable(f"{subject.title} cannot run here: {error}") from error
    return runner


def describes_itself_the_same_each_time(subject: Subject) -> None:
    """The variables of two strategies of one runner could not be used together."""
    runner = _runner(subject)
    if runner.strategy is not runner.strategy:
        raise Broken(
            "`strategy` is a new object each time", "Use functools.cached_property"
        )
    for name in ("is_chief", "jit"):
        value = getattr(runner, name)
        if not isinstance(value, bool):
            raise Broken(f"`{name}` is {value!r}", "Return True or False")


def trains_as_single_does(subject: Subject) -> None:
    """A runner lost examples, or summed gradients instead of averaging them."""
    differs_from_single(train_on(_runner(subject)))


def differs_from_single(found: ToyRun) -> None:
    """Compares a toy run with the same run on one device.

    Raises:
        Broken: if they differ.
    """
    wanted = _on_one_device()
    # Losses are reported in float32.
    if not np.allclose(found.losses, wanted.losses, rtol=1e-6, atol=1e-6):
        raise Broken(
            f"the losses of a toy run are {found.losses}, but on one device "
            f"{wanted.losses}",
            "Give consecutive elements of a host's pipeline to its replicas in order, "
            "and every example to only one of them",
        )
    where = differences(found.table, wanted.table, within=WITHIN)
    if where:
        raise Broken(
            f"after a toy run the variables differ from those on one device: {where}",
            "Run each step once on every replica, by strategy.run",
        )


@functools.cache
def _on_one_device() -> ToyRun:
    return train_on(Single(device="CPU:0", jit=False))
