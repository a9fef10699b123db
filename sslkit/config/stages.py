"""Recipes of several stages: runs that follow one another.

Such a recipe names a recipe for each stage, in the order in which they run:

    stages.pretrain = 'gin/fnc_r50_pretrain.gin'
    stages.linear = 'gin/fnc_r50_linear.gin'

Its other bindings, and those of the command line, are for every stage that uses them. A
binding with a stage's name as its scope, such as `linear/train.epochs = 10`, is for
that stage only. A stage whose recipe leaves `train.initialize` to the user starts from
the first stage.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence

from sslkit.config.length import check_length
from sslkit.config.reading import Binding, Macro, read_files
from sslkit.config.recipes import is_part
from sslkit.config.resolution import (
    STAGES,
    Resolution,
    idle_message,
    read,
    read_overrides,
    resolve,
)
from sslkit.errors import UserError, did_you_mean

ALONE = ""
"""The name of the only run of a recipe without stages."""

_INITIALIZE = "train.initialize"


@dataclasses.dataclass(frozen=True)
class Stages:
    """The stages of a recipe, and its other bindings."""

    recipes: Mapping[str, str]
    """Stage -> its recipe, in the order in which they run; may be empty."""
    above: tuple[Binding, ...]
    """The other bindings of the recipe that names the stages."""


def read_stages(recipes: Sequence[str]) -> Stages:
    """Reads the stages of recipes.

    Raises:
        UserError: as `read`, and if a stage is not the name of a recipe.
    """
    found: dict[str, str] = {}
    above = []
    for binding in read_files(recipes):
        if binding.target != STAGES or not binding.parameter:
            # Marked as an override, so that it is an error if no stage uses it.
            written = not is_part(binding.place.partition(":")[0])
            above.append(dataclasses.replace(binding, override=written))
        elif not isinstance(binding.value, str):
            raise UserError(
                f"{binding.key} is {binding.value!r} ({binding.place}); it must be the "
                "stage's recipe, e.g. 'gin/fnc_r50_pretrain.gin'."
            )
        else:
            found[binding.parameter] = binding.value
    return Stages(found, tuple(above))


def read_stage(
    stages: Stages,
    name: str,
    overrides: Sequence[str] = (),
    *,
    data_dir: str | None = None,
    workdir: str,
) -> Resolution:
    """Resolves one stage.

    Args:
        stages: all stages of the recipe.
        name: the stage to resolve.
        overrides: texts such as `train.epochs = 5` or `linear/train.epochs = 5`.
        data_dir: short for the override `data.data_dir = '...'`.
        workdir: the folder that holds the folders of all stages.

    Raises:
        UserError: as `read`; and if there is no stage `name`, or no stage uses an
            override.
    """
    if name not in stages.recipes:
        near = did_you_mean(name, stages.recipes)
        raise UserError(
            f"there is no stage '{name}'. {near}Stages: {', '.join(stages.recipes)}."
        )
    given = read_overrides(overrides, data_dir=data_dir)
    resolution, idle = _resolve(stages, name, given, workdir)
    for other in stages.recipes:
        if idle and other != name:
            _, unused = _resolve(stages, other, given, workdir)
            places = {binding.place for binding in unused}
            alone = {b.place for b in (*stages.above, *given) if _stage(b, stages)}
            # Another stage cannot use a binding that is for one stage only.
            idle = [b for b in idle if b.place in places | alone]
    if idle:
        message = idle_message(idle[0], resolution)
        scope = idle[0].scope.partition("/")[0]
        if scope:
            near = did_you_mean(scope, stages.recipes)
            message = (
                f"{idle[0].place}: there is no stage '{scope}'. {near}Stages: "
                f"{', '.join(stages.recipes)}."
            )
        raise UserError(message)
    check_length(resolution.bindings, given)
    return resolution


def read_each(
    recipes: Sequence[str],
    overrides: Sequence[str] = (),
    *,
    stage: str | None = None,
    data_dir: str | None = None,
    workdir: str,
) -> dict[str, Resolution]:
    """Resolves recipes, of a single run or of several stages.

    Args:
        recipes: files, in order.
        overrides: texts such as `train.epochs = 5`.
        stage: the only stage to resolve; None for all.
        data_dir: short for the override `data.data_dir = '...'`.
        workdir: the folder of the run, or of all stages.

    Returns:
        Stage -> its resolution, in order. For recipes without stages there is one
        entry, with the name `ALONE`.

    Raises:
        UserError: as `read` and `read_stage`; and if `stage` is given for recipes
            without stages.
    """
    stages = read_stages(recipes)
    if not stages.recipes:
        if stage is not None:
            raise UserError(f"{', '.join(recipes)} has no stages; leave out --stage.")
        return {ALONE: read(recipes, overrides, data_dir=data_dir)}
    return {
        name: read_stage(stages, name, overrides, data_dir=data_dir, workdir=workdir)
        for name in ([stage] if stage is not None else stages.recipes)
    }


def stage_workdir(workdir: str, name: str) -> str:
    """Returns the folder of one stage."""
    return os.path.join(workdir, name)


def stage_bindings(stages: Stages, name: str) -> list[Binding]:
    """Returns all bindings for one stage; the last one of a key counts."""
    return [
        *read_files([stages.recipes[name]]),
        *_meant_for(name, stages, stages.above),
    ]


def _resolve(
    stages: Stages, name: str, given: Sequence[Binding], workdir: str
) -> tuple[Resolution, list[Binding]]:
    recipe = stages.recipes[name]
    written = [*stage_bindings(stages, name), *_meant_for(name, stages, given)]
    first = next(iter(stages.recipes))
    start = [b for b in written if b.key == _INITIALIZE][-1:]
    if name != first and start and isinstance(start[0].value, Macro):
        written.append(
            dataclasses.replace(start[0], value=stage_workdir(workdir, first))
        )
    resolution, idle = resolve(written, [recipe])
    return resolution, idle


def _meant_for(name: str, stages: Stages, bindings: Sequence[Binding]) -> list[Binding]:
    """Returns the bindings that are for a stage; those only for it come last."""
    own = [b for b in bindings if _stage(b, stages) == name]
    return [b for b in bindings if not _stage(b, stages)] + [
        dataclasses.replace(b, scope=b.scope.partition("/")[2]) for b in own
    ]


def _stage(binding: Binding, stages: Stages) -> str:
    """Returns the stage that a binding is for; empty if it is for all stages."""
    first = binding.scope.partition("/")[0]
    return first if first in stages.recipes else ""
