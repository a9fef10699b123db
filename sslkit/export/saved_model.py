"""Writes an encoder as a SavedModel, which TensorFlow loads without sslkit."""

from __future__ import annotations

import functools
import json
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import keras
import tensorflow as tf

from sslkit.api import Objective
from sslkit.errors import UserError
from sslkit.export.images import asserted, in_unit_interval
from sslkit.storage import is_pattern, on_disk, reaching, replacing_folder

_DESCRIPTION = "export.json"
_WRITER = "sslkit saved_model"

Outputs = dict[str, tf.Tensor]
Compute = Callable[[tf.Tensor], Outputs]


@runtime_checkable
class HasEndpoints(Protocol):
    """A backbone that can return its intermediate features."""

    def endpoints(self, images: tf.Tensor, *, training: bool) -> Outputs:
        """Returns name -> tensor."""


def export(
    objective: Objective, directory: str | os.PathLike[str], *, size: int
) -> str:
    """Writes the encoder, and the classifier if there is one.

    The signature `serving_default` takes `images`, float32 [n, size, size, 3] in
    [0, 1] with any n. It returns `features`, float32 [n, feature_dim], and `logits`,
    float32 [n, classes], if the objective has a classifier. If the encoder has
    endpoints (intermediate features), each of them is a signature of the same name. All
    signatures are in inference mode.

    The loaded object can be called, too: `loaded(images)` returns the same. It scales
    uint8 images, and floats far outside [0, 1] are an error. With `training=True` it
    returns the features in training mode: batch normalisation uses the statistics of
    the batch and updates its moving statistics; DropBlock and dropout do nothing. It
    has `variables` and `trainable_variables` (those that the objective trains), so it
    can be trained further.

    The export holds copies of only those variables that its outputs need, as plain
    TensorFlow variables. It does not depend on sslkit, on a strategy or on devices. It
    gets its name when it is complete.

    Args:
        objective: the objective, built under any strategy. Call this function in
            cross-replica context.
        directory: the folder to write: a new one, an empty one, or an earlier export,
            which is replaced.
        size: side of the images, in pixels.

    Returns:
        Lines of Python that load and call the export without sslkit.

    Raises:
        UserError: if `directory` holds something else or cannot be written.
    """
    target = on_disk(directory)
    _require_loadable(directory)
    _require_replaceable(target)
    module = _SavedEncoder(objective, size)
    description = {
        "writer": _WRITER,
        "images": ["n", size, size, 3],
        "features": objective.encoder.feature_dim,
        "classes": objective.classes,
    }
    with (
        reaching("the export", str(target), verb="written"),
        replacing_folder(target) as folder,
    ):
        tf.saved_model.save(module, str(folder), signatures=module.signatures())
        (folder / _DESCRIPTION).write_text(json.dumps(description) + "\n")
    # If a folder above would be a pattern for TensorFlow, the path stays as given.
    name = os.fspath(directory) if is_pattern(target) else str(target)
    return (
        "import tensorflow as tf\n"
        f"encoder = tf.saved_model.load({name!r})\n"
        f"images = tf.zeros([1, {size}, {size}, 3])  # float32 in [0, 1], or uint8\n"
        'features = encoder(images)["features"]'
        f"  # float32 [1, {objective.encoder.feature_dim}]"
    )


class _SavedEncoder(tf.Module):
    """The object that is saved: one function and the variables it reads."""

    # tf.Module computes these. As plain lists they are saved, and loaded again.
    variables: Sequence[tf.Variable] = ()
    trainable_variables: Sequence[tf.Variable] = ()

    def __init__(self, objective: Objective, size: int) -> None:
        super().__init__(name="encoder")
        spec = tf.TensorSpec([None, size, size, 3], tf.float32, name="images")
        sources = _read_by(objective, spec)
        # Outside a scope `tf.Variable` is a plain variable, whatever the strategy is.
        copies = [
            tf.Variable(
                source.numpy(),
                dtype=source.dtype,
                trainable=source.trainable,
                name=source.path,
            )
            for source in sources
        ]
        self.variables = copies
        self.trainable_variables = [copy for copy in copies if copy.trainable]

        def compute(function: Compute, images: tf.Tensor) -> Outputs:
            values = [tf.convert_to_tensor(copy) for copy in copies]
            outputs, moved = _stateless(function, images, sources, values)
            for copy, value, after in zip(copies, values, moved, strict=True):
                if after is not value:
                    copy.assign(after)
            return outputs

        @tf.function
        def call(images: tf.Tensor, training: bool = False) -> Outputs:
            if images.dtype == tf.uint8:
                # It calls the function for floats, so that the file holds the network
                # only once.
                return call(in_unit_interval(images), training=training)
            function = _training if training else _inference
            return compute(functools.partial(function, objective), asserted(images))

        self.__call__ = call
        modes = [call.get_concrete_function(spec, training=t) for t in (False, True)]
        for mode in modes:
            _require_only(mode, copies)
            call.get_concrete_function(
                tf.TensorSpec(spec.shape, tf.uint8, name="images"),
                training=mode is modes[1],
            )
        self._signatures = {"serving_default": modes[0]}
        if isinstance(objective.encoder, HasEndpoints):

            @tf.function(input_signature=[spec])
            def endpoints(images: tf.Tensor) -> Outputs:
                return compute(functools.partial(_endpoints, objective), images)

            self.endpoints = endpoints
            for name in endpoints.get_concrete_function().structured_outputs:
                self._signatures[name] = _one(endpoints, name, spec)

    def signatures(self) -> dict[str, Any]:
        """Returns name -> concrete function of the images."""
        return self._signatures


def _one(endpoints: Any, name: str, spec: tf.TensorSpec) -> Any:
    # All endpoints call one function, so the file holds the network only once. When an
    # endpoint runs, TensorFlow skips what it does not need.
    one = tf.function(lambda images: {name: endpoints(images)[name]})
    return one.get_concrete_function(spec)


def _inference(objective: Objective, images: tf.Tensor) -> Outputs:
    outputs = {"features": objective.encoder(images, training=False)}
    if objective.classes is not None:
        outputs["logits"] = objective.logits(images)
    return outputs


def _training(objective: Objective, images: tf.Tensor) -> Outputs:
    return {"features": objective.encoder(images, training=True)}


def _endpoints(objective: Objective, images: tf.Tensor) -> Outputs:
    assert isinstance(objective.encoder, HasEndpoints)
    return objective.encoder.endpoints(images, training=False)


def _stateless(
    function: Compute,
    images: tf.Tensor,
    variables: Sequence[keras.Variable],
    values: Sequence[tf.Tensor],
) -> tuple[Outputs, list[tf.Tensor]]:
    """Computes with `values` in place of `variables`.

    Returns:
        The outputs in float32, and the variables' values afterwards.
    """
    pairs = list(zip(variables, values, strict=True))
    with keras.StatelessScope(state_mapping=pairs) as scope:
        outputs = {
            name: tf.cast(value, tf.float32) for name, value in function(images).items()
        }
    after = [scope.get_current_value(variable) for variable in variables]
    return outputs, after


def _read_by(objective: Objective, spec: tf.TensorSpec) -> list[keras.Variable]:
    """Finds the variables that the outputs depend on.

    An objective also holds projection heads, a momentum twin or a memory bank. Only a
    traced graph shows which of its variables the encoder and the classifier use.
    """
    variables = list(objective.variables)
    used: list[keras.Variable] = []

    @tf.function(input_signature=[spec])
    def trace(images: tf.Tensor) -> Outputs:
        values = [tf.zeros(v.shape, v.dtype) for v in variables]
        outputs, _ = _stateless(
            functools.partial(_inference, objective), images, variables, values
        )
        used.extend(
            v for v, value in zip(variables, values, strict=True) if value.consumers()
        )
        return outputs

    trace.get_concrete_function()
    return used


def _require_only(function: Any, copies: Sequence[tf.Variable]) -> None:
    """Refuses a graph that reads variables which are not weights of Keras."""
    known = {id(copy.handle) for copy in copies}
    foreign = sum(
        outer.dtype == tf.resource and id(outer) not in known
        for outer, _ in function.graph.captures
    )
    if foreign:
        raise UserError(
            f"cannot export: the outputs read {foreign} variables that are not Keras "
            "weights of the objective. Create them with add_weight."
        )


def _require_loadable(directory: str | os.PathLike[str]) -> None:
    if is_pattern(directory):
        raise UserError(
            f"cannot export to {os.fspath(directory)}: TensorFlow reads a path with *, "
            "?, [ or \\ as a pattern, and would not find the weights there. Name "
            "another directory."
        )


def _require_replaceable(target: pathlib.Path) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise UserError(f"cannot export to {target}: it is a file; name a directory")
    if not any(target.iterdir()):
        return
    try:
        description = json.loads((target / _DESCRIPTION).read_text())
    except (OSError, ValueError):
        description = {}
    if description.get("writer") != _WRITER:
        raise UserError(
            f"cannot export to {target}: it holds files that are not an earlier "
            "export; choose an empty or a new directory"
        )
