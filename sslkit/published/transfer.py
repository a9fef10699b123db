"""Setting a run's variables from a checkpoint in the published layout."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import tensorflow as tf

from sslkit.api import UserError
from sslkit.checkpoints import Table, assign
from sslkit.errors import near_names
from sslkit.published.architecture import Architecture, Shapes, recognise
from sslkit.published.names import NETWORK, find_head, published_names
from sslkit.published.parts import OPTIMIZER, derived, listing, part, title

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_ELSE = "Leave it out with train.restore or train.variable_schema"


def is_published(shapes: Shapes, prefix: str) -> bool:
    """Returns whether a checkpoint is in the published layout, or else in sslkit's.

    Raises:
        UserError: if it is neither.
    """
    if "step" in shapes:
        return False
    if any(name.startswith(f"{NETWORK}/") for name in shapes):
        return True
    kind = f"holds {len(shapes)} variables such as {', '.join(sorted(shapes)[:3])}"
    if _OBJECT_GRAPH in shapes:
        kind = "is an object-based checkpoint of TensorFlow 2"
    raise UserError(
        f"{prefix} {kind}. sslkit reads its own checkpoints and those of the published "
        f"TensorFlow 1 code, whose variables are called {NETWORK}/…"
    )


def restore_published(
    table: Table,
    reader: tf.train.CheckpointReader,
    prefix: str,
    *,
    patterns: Sequence[str],
    schema: str | None = None,
) -> str:
    """Sets part of a table from a published checkpoint: all that match, or nothing.

    Args:
        table: this run's variables, in the order of construction.
        reader: of the checkpoint.
        prefix: names the checkpoint in messages.
        patterns: regular expressions; names of the table whose beginning one of them
            matches are restored. Not used with a schema.
        schema: the published `variable_schema`: a regular expression over published
            names. Names whose beginning it matches are restored, and all of them must
            be used, except those of parts that this run does not have at all.

    Returns:
        A table of which variable was set from which.

    Raises:
        UserError: if the networks differ, if a variable to restore is missing or has
            another shape, or if the checkpoint has more of a part than the run has.
    """
    shapes = shapes_of(reader)
    names = published_names(table, head=find_head(shapes))
    wanted = _wanted(table, names, patterns, schema)
    here = {name: tuple(table[own].shape) for own, name in names.items()}
    if any(part(name) == NETWORK for name in wanted.values()):
        _check_network(shapes, here, prefix)
    _check_present(wanted, shapes, prefix)
    _check_nothing_left(wanted, names, shapes, schema, prefix)
    for own, name in wanted.items():
        if shapes[name] != here[name]:
            raise UserError(
                f"{prefix}: {name} has shape {shapes[name]} there; {own} has shape "
                f"{here[name]} here. {_ELSE}, or build the run as the checkpoint was."
            )
    assign({name: table[own] for own, name in wanted.items()}, reader, prefix)
    taken = {name: own for own, name in wanted.items()}
    return listing(
        prefix,
        {
            name: taken[name].partition("/")[0]
            if name in taken
            else ("(not asked for)" if name in here else "(not in this run)")
            for name in shapes
        },
        shapes,
    )


def shapes_of(reader: tf.train.CheckpointReader) -> dict[str, tuple[int, ...]]:
    """Returns the shapes in a checkpoint, networks in the order of construction."""
    shapes = reader.get_variable_to_shape_map()
    return {name: tuple(shapes[name]) for name in sorted(shapes, key=_natural)}


def network_of(shapes: Shapes, prefix: str) -> Architecture:
    """Recognises the network of a checkpoint.

    Raises:
        UserError: if it does not hold a network; the message names the checkpoint.
    """
    try:
        return recognise(shapes)
    except UserError as error:
        raise UserError(f"{prefix} cannot be used: {error}") from error


def _natural(name: str) -> list[int | str]:
    return [
        int(piece) if piece.isdigit() else piece for piece in re.split(r"(\d+)", name)
    ]


def _wanted(
    table: Table, names: Mapping[str, str], patterns: Sequence[str], schema: str | None
) -> dict[str, str]:
    if schema is not None:
        wanted = {own: name for own, name in names.items() if re.match(schema, name)}
        if not wanted:
            raise UserError(
                f"train.variable_schema {schema!r} matches the beginning of no "
                "published name of this run's variables. Near it: "
                f"{near_names(schema, list(names.values())) or 'none'}."
            )
        return wanted
    chosen = [own for own in table if any(re.match(p, own) for p in patterns)]
    for own in chosen:
        if own not in names:
            raise UserError(
                f"train.restore wants {own}, which has no place in a published "
                "checkpoint. Narrow the pattern."
            )
    return {own: names[own] for own in chosen}


def _check_network(there: Shapes, here: Shapes, prefix: str) -> None:
    """Compares whole networks, for a clearer message than that of one variable."""
    found = network_of(there, prefix)
    try:
        own = recognise(here)
    except UserError:
        raise UserError(
            f"{prefix} holds {found}; this run's encoder is not such a ResNet. Bind "
            "its backbone to backbones.resnet."
        ) from None
    if found == own:
        return
    mine = own.options()
    bindings = ", ".join(
        f"backbones.resnet.{option} = {value!r}"
        for option, value in found.options().items()
        if value != mine[option]
    )
    raise UserError(
        f"{prefix} holds {found}; this run's encoder is {own}. Bind {bindings}, or "
        "choose another checkpoint."
    )


def _check_present(wanted: Mapping[str, str], shapes: Shapes, prefix: str) -> None:
    missing = {own: name for own, name in wanted.items() if name not in shapes}
    if not missing:
        return
    own, name = next(iter(missing.items()))
    lacking = part(name)
    if any(part(found) == lacking for found in shapes):
        raise UserError(
            f"{prefix} lacks {len(missing)} of {len(wanted)} variables to restore, "
            f"first {name}, which is {own} here. {_ELSE}, or build the run as the "
            "checkpoint was."
        )
    has = dict.fromkeys(title(part(found)) or part(found) for found in shapes)
    raise UserError(
        f"{prefix} has no {title(lacking)} ({lacking}/…), and this run restores "
        f"{own} and {len(missing) - 1} more from it. It has: {', '.join(has)}. "
        f"{_ELSE}, or choose a checkpoint that has one."
    )


def _check_nothing_left(
    wanted: Mapping[str, str],
    names: Mapping[str, str],
    shapes: Shapes,
    schema: str | None,
    prefix: str,
) -> None:
    parts = {part(name) for name in wanted.values()} - {OPTIMIZER}
    places = set(names.values())
    left = [
        name
        for name in shapes
        if name not in places
        and not derived(name)
        and (schema is None or re.match(schema, name))
        and (part(name) in parts or (schema is not None and title(part(name)) is None))
    ]
    if left:
        raise UserError(
            f"{prefix} holds {len(left)} variables that have no place in this run, "
            f"first {left[0]} of shape {shapes[left[0]]}. Build the run as the "
            "checkpoint was, or leave them out with train.variable_schema."
        )
