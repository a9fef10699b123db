"""Whether a run that is resumed or evaluated still has the same data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sslkit.checkpoints import Checkpoints
from sslkit.data.dataset import Data, Part
from sslkit.errors import UserError
from sslkit.source import Source
from sslkit.workdir import Workdir

__all__ = ["changed_since", "check_continuing", "remember"]


def check_continuing(
    workdir: Workdir,
    source: Source,
    steps: int,
    *,
    extend: bool,
    say: Callable[[str], None] = print,
) -> None:
    """Refuses to resume a run with other data, or another length, than it began with.

    Nothing is refused before the first checkpoint.

    Args:
        workdir: the run's folder.
        source: the training split, as it is now.
        steps: the run's length, as it is now.
        extend: whether the user wants to go on in spite of a difference, which is then
            only printed.
        say: prints a line for the user.

    Raises:
        UserError: if something differs and `extend` is not set, or the run would be
            shorter than it was.
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
            f"{steps:,}. A run can be made longer, not shorter: raise train.steps, or "
            "train.epochs if train.steps is not bound, or choose another --workdir."
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
            f"extended from {there:,} to {steps:,} steps; from here on the learning "
            f"rate is that of a run of {steps:,} steps"
        )


def changed_since(workdir: Workdir, data: Data, parts: Sequence[Part]) -> list[str]:
    """Returns which splits are not those that a run was started with.

    Args:
        workdir: the run's folder.
        data: the dataset, as it is now.
        parts: the splits to look at; missing splits are skipped.

    Returns:
        A line for each that has changed.
    """
    try:
        before = workdir.data() or {}
    except UserError as error:
        return [f"whether the data has changed is not known: {error}"]
    found = []
    for part in parts:
        if part not in before:
            continue
        try:
            source = data.source(part)
        except UserError:
            continue
        changes = _changes(before[part], source.record())
        there = before[part].get("name", source.name)
        if there == source.name:
            what = "has changed since the run was trained"
        else:
            what = f"is not the data that the run was trained with, {there}"
        if changes:
            found.append(f"{source.name} {what}: {'; '.join(changes)}")
    return found


def remember(workdir: Workdir, data: Data, steps: int, *, extend: bool = False) -> None:
    """Writes down the data and length that a run is started with.

    Once there is a checkpoint, the entry of the test split is not changed any more: a
    changed test split does not stop the run, and evaluation reports the change.

    Args:
        workdir: the run's folder.
        data: the dataset. Its test split is written down only if it is open already: a
            machine that trains may not have it.
        steps: of the whole run.
        extend: whether the user wants to go on with other data.

    Raises:
        UserError: if it cannot be written.
    """
    kept = {"train": dict(data.source("train").record()), "steps": steps}
    begun = Checkpoints(workdir.checkpoints).latest() is not None
    before = (workdir.data() or {}) if begun else {}
    test = data.opened("test")
    if "test" in before and (test is None or not extend):
        kept["test"] = before["test"]
    elif test is not None:
        kept["test"] = dict(test.record())
    workdir.write_data(kept)


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    changes = []
    # The name is not compared: the recipe has it, and a run's recipe does not change.
    for key in sorted((before.keys() | now.keys()) - {"name"}):
        there, here = before.get(key), now.get(key)
        if there == here:
            continue
        if key in ("files", "records"):
            changes.append(f"its {key} have changed")
        else:
            changes.append(f"{key} {there} then, {here} now")
    return changes


def _ways_on(workdir: Workdir) -> str:
    return (
        "Choose another --workdir, start from the run's weights with --set "
        f"'train.initialize = \"{workdir.path}\"', or go on in this folder in spite of "
        "it with --extend."
    )
