"""Turning a published checkpoint into a checkpoint of this package."""

from __future__ import annotations

import json
import os
import re
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from sslkit.api import UserError
from sslkit.checkpoints import (
    CHECKPOINTS,
    Checkpoints,
    find_checkpoint,
    read,
    values_of,
)
from sslkit.nn import LinearClassifier, ProjectionHead, ResNet
from sslkit.published.architecture import Architecture, Shapes
from sslkit.published.encoder import DESCRIPTION
from sslkit.published.names import (
    SLOTS,
    TWIN,
    find_head,
    published_names,
    weight_of,
)
from sslkit.published.parts import derived, listing
from sslkit.published.transfer import is_published, network_of, shapes_of
from sslkit.storage import reaching, replacing

PART = "backbone.gin"


class Imported(NamedTuple):
    """What an import has found and written."""

    architecture: Architecture
    checkpoint: str
    """The prefix of the new checkpoint."""
    part: str
    """The part of a recipe that builds the encoder."""
    report: str
    """A table of which variable became which."""


def import_published(path: str, to: str, *, schema: str | None = None) -> Imported:
    """Reads a published checkpoint and writes it under this package's names.

    A run starts from it with `train.initialize = to`. Everything is imported: encoder,
    heads, momentum twin, memory bank, optimizer slots and step.

    Args:
        path: a prefix such as `model.ckpt-1234`, or the folder it is in.
        to: a folder without checkpoints. In it are written `checkpoints/step_<step>`, a
            part of a recipe, and the network's options for `imported_encoder`.
        schema: the published `variable_schema`; names whose beginning it does not match
            are left out.

    Raises:
        UserError: if there is no such checkpoint, if it is damaged or in another
            layout, if a variable has no place and the schema does not leave it out, if
            a variable is missing, or if `to` cannot be written.
    """
    prefix = find_checkpoint(path)
    reader = read(prefix)
    shapes = shapes_of(reader)
    if not is_published(shapes, prefix):
        raise UserError(
            f"{prefix} is already a checkpoint of sslkit. Start from it with "
            f"train.initialize = {path!r}."
        )
    checkpoints = Checkpoints(os.path.join(to, CHECKPOINTS))
    if checkpoints.latest() is not None:
        raise UserError(
            f"{to} already holds checkpoints, first {checkpoints.prefixes()[0]}. Name "
            "an empty or a new folder."
        )
    network = network_of(shapes, prefix)
    places = _places(network, shapes, prefix)
    chosen = [
        name
        for name in shapes
        if not derived(name) and (schema is None or re.match(schema, name))
    ]
    unknown = [name for name in chosen if name not in places]
    if unknown:
        raise UserError(
            f"{prefix} holds {len(unknown)} variables that no published network has, "
            f"first {unknown[0]} of shape {shapes[unknown[0]]}. Leave them out with "
            f"--schema, e.g. '(?!{unknown[0].partition('/')[0]})'."
        )
    if not chosen:
        raise UserError(f"the schema {schema!r} matches nothing in {prefix}.")
    found = values_of(reader, chosen, prefix)
    values = {own: Value(found[name]) for name, own in places.items() if name in found}
    step = int(values.setdefault("step", Value(np.int64(0))).numpy())
    checkpoint = checkpoints.save(values, step=step)
    part_path = os.path.join(to, PART)
    for written, text in {
        part_path: _gin(network, prefix),
        os.path.join(to, DESCRIPTION): json.dumps(network.options()) + "\n",
    }.items():
        with (
            reaching("the import", written, verb="written"),
            replacing(written) as beside,
            tf.io.gfile.GFile(beside, "w") as file,
        ):
            file.write(text)
    targets = {
        name: places[name].partition("/")[0] if name in chosen else "(left out)"
        for name in shapes
    }
    return Imported(network, checkpoint, part_path, listing(prefix, targets, shapes))


class Value:
    """A value of a checkpoint, with the methods of a variable that saving needs."""

    def __init__(self, value: np.ndarray | np.generic):
        """Keeps the value."""
        self._value = np.asarray(value)
        self.shape = self._value.shape

    def assign(self, value: np.ndarray) -> None:
        """Replaces the value."""
        self._value = value

    def numpy(self) -> np.ndarray:
        """Returns the value."""
        return self._value


def _places(network: Architecture, shapes: Shapes, prefix: str) -> dict[str, str]:
    """Returns published name -> sslkit's name, for all variables of such a run.

    Raises:
        UserError: if a variable of the encoder or of a head is missing or has a wrong
            shape.
    """
    head = find_head(shapes)
    wanted = _variables(network, shapes, head)
    twins = {}
    if any(name.startswith(f"{TWIN}/") for name in shapes):
        twins = {
            f"momentum/{own}": shape
            for own, shape in wanted.items()
            if not own.startswith("classifier/")
        }
    wanted |= twins
    names = published_names([*wanted, "step", "bank/rows"], head=head)
    for own, shape in wanted.items():
        there = shapes.get(names[own])
        if there is None:
            raise UserError(
                f"{prefix} lacks {names[own]}, of shape {shape} in {network}."
            )
        if tuple(there) != shape:
            raise UserError(
                f"{prefix}: {names[own]} has shape {tuple(there)}; in {network} it has "
                f"shape {shape}."
            )
    places = {name: own for own, name in names.items()}
    slots = {published: own for own, published in SLOTS.items()}
    for name in shapes:
        weight = weight_of(name)
        if weight in places:
            slot = slots[name.rpartition("/")[-1]]
            places[name] = f"optimizer/{slot}/{places[weight]}"
    return places


def _variables(
    network: Architecture, shapes: Shapes, head: str
) -> dict[str, tuple[int, ...]]:
    """Returns name -> shape of the layers that the checkpoint has, as built here."""
    projection = {
        int(match[1]): tuple(shape)
        for name, shape in shapes.items()
        if (match := re.fullmatch(rf"{head}/nl_(\d+)/dense/kernel", name))
    }
    classes = shapes.get("head_supervised/linear_layer/dense/bias")
    kernel = shapes.get("head_supervised/linear_layer/dense/kernel")
    # In a graph, variables have shapes but take no memory.
    with tf.Graph().as_default():
        encoder = ResNet(**network.options(), name="encoder")
        encoder.build((None, network.side, network.side, 3))
        layers: list[keras.layers.Layer] = [encoder]
        if projection:
            last = projection[max(projection)][-1]
            layers.append(ProjectionHead(layers=len(projection), dim=last))
            layers[-1].build((None, encoder.feature_dim))
        if classes and kernel:
            layers.append(LinearClassifier(classes=classes[0]))
            layers[-1].build((None, kernel[0]))
        return {
            variable.path: tuple(variable.shape)
            for layer in layers
            for variable in layer.variables
        }


def _gin(network: Architecture, prefix: str) -> str:
    bindings = "".join(
        f"backbones.resnet.{option} = {value!r}\n"
        for option, value in network.options().items()
    )
    return (
        f"# {network}, found from the variables of {os.path.basename(prefix)}.\n"
        f"backbone = @backbones.resnet\n{bindings}"
    )
