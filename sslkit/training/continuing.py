"""Whether a run that is started again is still the run that it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sslkit.checkpoints import Checkpoints
from sslkit.errors import UserError
from sslkit.source import Source
from sslkit.workdir import Workdir

__all__ = ["check_continuing", "remember"]


def check_continuing(
    workdir: Workdir,
    source: Source,
    steps: int,
    *,
    extend: bool,
    say: Callable[[str], None] = print,
) -> None:
    """Refuses to go on with other data, or for longer, than a run was started with.

    Nothing is refused before the first checkpoint.

    Args:
        workdir: the run's folder.
        source: the training split, as it is now.
        steps: the run's length, as it is now.
        extend: whether the user wants to go on all the same; says what is different.
        say: prints a line for the user.

    Raises:
        UserError: if something is different, or the run would be shorter than it was.
    """
    before = workdir.data()
    if before is None or Checkpoints(workdir.checkpoints).latest() is None:
        return
    changes = _changes(before["train"], source.record())
    there = before["steps"]
    if changes and not extend:
        longer = f" ({there:,} steps then, {steps:,} now)" if steps != there else ""
        raise UserError(
            f"{workdir.path} was trained on other data: {source.name} has changed, "
            f"{'; '.join(changes)}{longer}. {_ways_on(workdir)}"
        )
    if steps < there:
        raise UserError(
            f"{workdir.path} is a run of {there:,} steps, and now it would be one of "
            f"{steps:,}. A run can be made longer, not shorter: raise train.epochs or "
            "train.steps, or choose another --workdir."
        )
    if steps > there and not extend:
        raise UserError(
            f"{workdir.path} is a run of {there:,} steps, and now it would be one of "
            f"{steps:,}. {_ways_on(workdir)}"
        )
    if changes:
        say(
            f"going on with other data: {source.name} has changed, {'; '.join(changes)}"
        )
    if steps > there:
        say(
            f"extended from {there:,} to {steps:,} steps; the learning rate is from "
            f"here on what it would be in a run of {steps:,}"
        )


def remember(workdir: Workdir, source: Source, steps: int) -> None:
    """Writes down what a run is started with.

    Raises:
        UserError: if it cannot be written.
    """
    workdir.write_data({"train": dict(source.record()), "steps": steps})


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    changes = []
    # Not the name: the recipe has it, and a run's recipe does not change.
    for key in sorted((before.keys() | now.keys()) - {"name"}):
        there, here = before.get(key), now.get(key)
        if there == here:
            continue
        if key in ("files", "records"):
            changes.append(f"its {key} are not those of then")
        else:
            changes.append(f"{key} {there} then, {here} now")
    return changes


def _ways_on(workdir: Workdir) -> str:
    return (
        "Choose another --workdir, start from its weights with --set "
        f"'train.initialize = \"{workdir.path}\"', or go on in it all the same with "
        "--extend."
    )
