"""The runs of a sweep, all of them checked before the first one starts."""

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
    """The name of its folder, e.g. `topk=5,seed=0`."""
    folder: str
    """Its workdir; for a recipe of several stages, the folder that holds theirs."""
    settings: tuple[str, ...]
    """All overrides, e.g. `train.seed = 0`."""
    stages: tuple[str, ...]
    """The folders of its stages; its own folder if the recipe has no stages."""


def plan(
    recipes: Sequence[str],
    overs: Sequence[Over],
    *,
    settings: Sequence[str] = (),
    workdir: str,
    stage: str | None = None,
    data_dir: str | None = None,
) -> list[Planned]:
    """Plans a run for each combination of values; the last setting changes fastest.

    The recipe is read with every combination first, so that a mistake in one of them is
    found before a run starts.

    Args:
        recipes: files, in order.
        overs: the settings that vary, with their values.
        settings: overrides of all runs.
        workdir: the folder of the sweep.
        stage: the only stage to run, for a recipe that has several.
        data_dir: short for the override `data.data_dir = '...'`.

    Raises:
        UserError: as `config.read`; and if the folder of a run belongs to another run,
            or the sweep's folder is itself a run's.
    """
    fixed = {b.key for text in settings for b in read_override(text)}
    for over in overs:
        if over.key in fixed:
            raise UserError(
                f"{over.key} is set by --set and by --over. Leave out one of them."
            )
    count = math.prod(len(over.values) for over in overs)
    if count > _MOST:
        raise UserError(
            f"--over makes {count:,} runs; at most {_MOST:,} are allowed. Give fewer "
            "values."
        )
    if os.path.exists(os.path.join(workdir, "config.gin")):
        raise UserError(
            f"{workdir} is the folder of a single run. Choose another --workdir for "
            "the sweep; each of its runs gets a folder in it."
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
    """Returns whether a run was trained to its end and then evaluated."""
    return all(_is_done(folder) for folder in run.stages)


def _is_done(folder: str) -> bool:
    one = read_status(folder)
    if one.state != "finished":
        return False
    # The result may be that of an earlier checkpoint.
    try:
        with open(os.path.join(folder, "result.json"), encoding="utf-8") as file:
            return json.load(file)["step"] == one.steps
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False


def _check_folders(stages: Mapping[str, config.Resolution]) -> None:
    """Refuses folders that belong to runs with another configuration."""
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
