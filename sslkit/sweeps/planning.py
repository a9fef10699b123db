"""Which runs a sweep is made of, checked before the first of them starts."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
from collections.abc import Mapping, Sequence

from sslkit import config
from sslkit.config.reading import read_override
from sslkit.errors import UserError
from sslkit.status import read_status
from sslkit.sweeps.values import Over, labels

_MOST = 10_000


@dataclasses.dataclass(frozen=True)
class Planned:
    """One run of a sweep."""

    name: str
    """Of its folder, e.g. `topk=5,seed=0`."""
    folder: str
    """Its workdir; of a recipe of several stages, that of all of them."""
    settings: tuple[str, ...]
    """All overrides, e.g. `train.seed = 0`."""
    stages: tuple[str, ...]
    """The folders of its stages; its own where there are none."""


def plan(
    recipes: Sequence[str],
    overs: Sequence[Over],
    *,
    settings: Sequence[str] = (),
    workdir: str,
    stage: str | None = None,
    data_dir: str | None = None,
) -> list[Planned]:
    """Plans a run for each combination of values; the last binding moves fastest.

    Every recipe is read with every combination, so that no run is begun if one of them
    binds what there is not.

    Args:
        recipes: files, in order.
        overs: what the sweep goes over.
        settings: overrides of all runs.
        workdir: the folder of the sweep.
        stage: one stage, of a recipe that has several.
        data_dir: short for the override `data.data_dir = '...'`.

    Raises:
        UserError: as `config.read`, and where the folder of a run belongs to another
            run, or the sweep's folder is itself one of a run.
    """
    fixed = {b.key for text in settings for b in read_override(text)}
    for over in overs:
        if over.key in fixed:
            raise UserError(
                f"{over.key} is bound by --set and by --over. Leave one of them out."
            )
    count = math.prod(len(over.values) for over in overs)
    if count > _MOST:
        raise UserError(
            f"--over comes to {count:,} runs; {_MOST:,} are the most. Name fewer "
            "values."
        )
    if os.path.exists(os.path.join(workdir, "config.gin")):
        raise UserError(
            f"{workdir} is the folder of one run. Choose another --workdir for the "
            "sweep; its runs get folders of their own in it."
        )
    keys = labels([over.key for over in overs])
    every = [
        [(f"{key}={word}", over.setting(value)) for word, value in pairs]
        for key, over in zip(keys, overs, strict=True)
        for pairs in [list(zip(over.words(), over.values, strict=True))]
    ]
    found = []
    for chosen in itertools.product(*every):
        name = ",".join(word for word, _ in chosen)
        folder = os.path.join(workdir, name)
        own = (*settings, *(setting for _, setting in chosen))
        try:
            resolutions = config.read_each(
                recipes, own, stage=stage, data_dir=data_dir, workdir=folder
            )
        except UserError as error:
            raise UserError(f"in the run {name}: {error}") from error
        stages = {
            config.stage_workdir(folder, part) if part != config.ALONE else folder: one
            for part, one in resolutions.items()
        }
        _check_folders(stages)
        found.append(Planned(name, folder, own, tuple(stages)))
    return found


def is_done(run: Planned) -> bool:
    """Returns whether a run was trained to its end and then measured."""
    return all(_is_done(folder) for folder in run.stages)


def _is_done(folder: str) -> bool:
    one = read_status(folder)
    if one.state != "finished":
        return False
    # A result may be of an earlier checkpoint.
    try:
        with open(os.path.join(folder, "result.json"), encoding="utf-8") as file:
            return json.load(file)["step"] == one.steps
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False


def _check_folders(stages: Mapping[str, config.Resolution]) -> None:
    """Refuses folders of runs that would compute something else."""
    for folder, resolution in stages.items():
        path = os.path.join(folder, "config.gin")
        try:
            with open(path, encoding="utf-8") as file:
                there = file.read()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path} cannot be read: {error}.") from error
        changes = config.conflict(folder, there, resolution.render())
        if changes:
            shown = "; ".join(changes[:5]) + ("; …" if len(changes) > 5 else "")
            raise UserError(
                f"{folder} belongs to another run ({shown}). Choose another --workdir "
                "for this sweep."
            )
