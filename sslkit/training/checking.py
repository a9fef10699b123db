"""Checks of an objective while a run's state is built: common mistakes of authors.

Without them, each mistake would lead much later to an error of TensorFlow or Keras, or
to none. A message says which class it is about, what came and what was wanted.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from sslkit import plugins
from sslkit.api import (
    Backbone,
    Objective,
    Outcome,
    UserError,
    ViewGroup,
)

_OWN = (
    "loss",
    "learning_rate",
    "gradient_norm",
    "refused",
    "refused_steps",
    "loss_spikes",
    "step",
    "time",
)
"""Names that a line of metrics has already."""
_RANDOM = frozenset(
    {
        "Multinomial",
        "ParameterizedTruncatedNormal",
        "RandomGamma",
        "RandomPoisson",
        "RandomPoissonV2",
        "RandomShuffle",
        "RandomStandardNormal",
        "RandomUniform",
        "RandomUniformInt",
        "TruncatedNormal",
    }
)
"""Operations that draw random numbers from TensorFlow's global state."""


def title(objective: Objective) -> str:
    """Returns an objective's name and class, for messages."""
    return f"objective {objective.name} ({type(objective).__name__})"


def check_made(objective: Objective) -> None:
    """Refuses an objective whose constructor has not made a layer of it.

    Raises:
        UserError: with the line to write.
    """
    if not hasattr(objective, "built"):
        raise UserError(
            f"objective {type(objective).__name__}: its constructor does not call that "
            "of Objective. Write super().__init__(name=name) at its beginning."
        )


def check_views(objective: Objective, groups: Mapping[str, ViewGroup]) -> None:
    """Refuses an augmentation that does not make the views that an objective requires.

    Raises:
        UserError: naming the views that are required and those that are made.
    """
    wanted = objective.requires
    if not isinstance(wanted, Mapping) or not all(
        isinstance(count, int) for count in wanted.values()
    ):
        raise UserError(
            f"{title(objective)}: requires is {wanted!r}; wanted a mapping of view "
            'groups to whole numbers, such as {"instance": 2}.'
        )
    for group in groups.values():
        if not isinstance(group, ViewGroup):
            raise UserError(
                f"the augmentation has the groups {dict(groups)!r}; wanted a mapping "
                "of names to sslkit.api.ViewGroup(count, size)."
            )
    wanted = dict(wanted)
    made = {name: group.count for name, group in groups.items()}
    if wanted == made:
        return
    listed = [
        ", ".join(f"{name} x {count}" for name, count in counts.items())
        for counts in (wanted, made)
    ]
    raise UserError(
        f"objective {objective.name} wants {listed[0]}; the augmentation makes "
        f"{listed[1]}. Bind train.augmentation to one that makes them"
        f"{_suggestion(type(objective))}, or change the counts of either."
    )


def _suggestion(objective: type) -> str:
    """Names the augmentation of the objective's own name, or all installed ones."""
    installed = plugins.installed()
    value = f"{objective.__module__}:{objective.__qualname__}"
    own = {p.name for p in installed if p.kind == "objectives" and p.value == value}
    made = sorted({p.name for p in installed if p.kind == "augmentations"})
    for name in made:
        if name in own:
            return f", e.g. @augmentations.{name}()"
    return f" (installed: {', '.join(made)})"


@contextlib.contextmanager
def watching(objective: Objective) -> Iterator[None]:
    """Checks what an objective and its encoder return in a symbolic call inside.

    Raises:
        UserError: if the outcome is not an `Outcome` of float scalars, if the features
            are not as wide as `feature_dim` says, if the encoder is missing, or if the
            loss draws random numbers that no seed fixes.
    """
    # Keras adds its own text to an error that a layer raises, so the check's error is
    # kept, and raised here.
    found: list[str] = []
    encoder = getattr(objective, "encoder", None)
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(_seen(objective, _check_outcome, found))
            if isinstance(encoder, Backbone):
                stack.enter_context(_seen(encoder, _check_features, found))
            yield
    except Exception as error:
        if not found and getattr(objective, "encoder", None) is None:
            found.append(_no_encoder(objective))
        if found:
            raise UserError(found[0]) from error
        raise
    if not found and not isinstance(getattr(objective, "encoder", None), Backbone):
        found.append(_no_encoder(objective))
    if found:
        raise UserError(found[0])


@contextlib.contextmanager
def _seen(
    layer: keras.layers.Layer, check: Callable[[Any, Any], None], found: list[str]
) -> Iterator[None]:
    """Lets a check see what a layer's `call` returns; keeps the check's error."""
    call = layer.call

    @functools.wraps(call)
    def seen(*values: Any, **named: Any) -> Any:
        try:
            returned = call(*values, **named)
            check(layer, returned)
        except UserError as error:
            found.append(str(error))
            raise
        except Exception as error:
            # Reported here, because Keras replaces the exception on its way up.
            if isinstance(layer, Objective) and not hasattr(layer, "encoder"):
                found.append(_no_encoder(layer))
            found.append(
                f"{layer.name} ({type(layer).__name__}): call fails: "
                f"{plugins.describe(error)}. --debug shows where."
            )
            raise
        return returned

    # Not by Keras's `__setattr__`, which would look for state in it.
    object.__setattr__(layer, "call", seen)
    try:
        yield
    finally:
        object.__delattr__(layer, "call")


def _no_encoder(objective: Objective) -> str:
    came = getattr(objective, "encoder", None)
    what = "is not there" if came is None else f"is {described(came)}"
    return (
        f"{title(objective)}: self.encoder {what}. The encoder is evaluated, exported "
        'and restored elsewhere: write self.encoder = backbone(name="encoder") in '
        "__init__."
    )


def _check_outcome(objective: Objective, outcome: object) -> None:
    name = title(objective)
    if not isinstance(outcome, Outcome):
        raise UserError(
            f"{name}: call returns {described(outcome)}; wanted "
            "sslkit.api.Outcome(loss, metrics)."
        )
    wanted = keras.config.floatx()
    if not _is_scalar(outcome.loss, {wanted}):
        raise UserError(
            f"{name}: the loss is {described(outcome.loss)}; wanted {wanted} [], the "
            f"mean over this replica's examples.{_cast(outcome.loss, wanted)}"
        )
    if not isinstance(outcome.metrics, Mapping):
        raise UserError(
            f"{name}: the metrics are {described(outcome.metrics)}; wanted a mapping "
            "of names to float32 scalars."
        )
    for metric, value in outcome.metrics.items():
        if not isinstance(metric, str) or metric in _OWN:
            raise UserError(
                f"{name}: a metric is called {metric!r}; wanted a name other than "
                f"{', '.join(_OWN)}."
            )
        if not _is_scalar(value, {"float32", wanted}):
            raise UserError(
                f"{name}: the metric {metric!r} is {described(value)}; wanted a "
                "tensor, float32 []."
            )
    random = drawn(tf.compat.v1.get_default_graph())
    if random:
        raise UserError(
            f"{name}: call draws random numbers that no seed of the run fixes "
            f"({', '.join(random)}), so a resumed run would differ. Use "
            "tf.random.stateless_… with a seed made from the step, or "
            "sslkit.randomness."
        )


def _cast(loss: Any, wanted: str) -> str:
    if not tf.is_tensor(loss) or not loss.dtype.is_floating or loss.shape != ():
        return " Use tf.reduce_mean if it has one number per example."
    if wanted == "float64":
        return (
            " All numbers are float64 here, as in the laws: cast to "
            "sslkit.nn.full_dtype(layer), not to tf.float32."
        )
    return " Cast to float32 before the loss."


def _check_features(encoder: Backbone, features: Any) -> None:
    wide = tf.is_tensor(features) and features.shape[1:] == (encoder.feature_dim,)
    if not wide:
        raise UserError(
            f"the encoder ({type(encoder).__name__}) returns {described(features)} "
            f"and says feature_dim = {encoder.feature_dim}; wanted [n, feature_dim]."
        )
    if features.dtype in (tf.bfloat16, tf.float16):
        raise UserError(
            f"the encoder ({type(encoder).__name__}) returns {features.dtype.name} "
            "features; wanted float32. Cast the last activation to "
            "sslkit.nn.full_dtype(self) before the mean over pixels."
        )


def _is_scalar(value: Any, dtypes: set[str]) -> bool:
    return tf.is_tensor(value) and value.shape == () and value.dtype.name in dtypes


def described(value: Any) -> str:
    """Returns a description of a value, for messages."""
    if tf.is_tensor(value):
        shape = "?" if value.shape.rank is None else value.shape.as_list()
        return f"a tensor, {value.dtype.name} {shape}"
    if isinstance(value, bool | int | float | str | None):
        return f"{value!r} of Python"
    return f"a {type(value).__name__}"


def drawn(graph: tf.Graph) -> list[str]:
    """Returns the types of operations in a graph that draw from global state."""
    kinds = {operation.type for operation in graph.get_operations()}
    # The graphs of loops, branches and called functions.
    for function in graph.as_graph_def().library.function:
        kinds |= {node.op for node in function.node_def}
    return sorted(kinds & _RANDOM)


class Names:
    """Finds layers without an explicit name, by making an objective's layers twice.

    Keras's automatic names count the layers of a class in the process, so a checkpoint
    would not fit the variables in the next process.

    Args:
        make: makes an objective; its constructor makes layers and no variables.
    """

    def __init__(self, make: Callable[[], Objective]):
        """Makes the objective to compare with."""
        self._other = layers_of(make())

    def check(self, objective: Objective, layers: Sequence[keras.layers.Layer]) -> None:
        """Compares the names of layers that turned out to have variables.

        Args:
            objective: built.
            layers: what `layers_of` returned before it was built.

        Raises:
            UserError: naming the layers.
        """
        if len(layers) != len(self._other):
            return
        counted = [
            f"{layer.name} ({type(layer).__name__})"
            for layer, other in zip(layers, self._other, strict=True)
            if layer.name != other.name and layer.variables
        ]
        if counted:
            raise UserError(
                f"{title(objective)}: layers without an explicit name: "
                f"{', '.join(counted)}. Automatic names depend on what else the "
                "process has made, so the next process could not read the checkpoint. "
                "Give each name=..."
            )


def layers_of(objective: Objective) -> list[keras.layers.Layer]:
    """Returns all layers in an objective, at any depth, in the order of creation."""
    return list(objective._flatten_layers(include_self=False))
