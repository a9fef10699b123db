"""All state of a run, as one table of named variables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sslkit.api import Batch, Objective, Optimizer, UserError, ViewGroup
from sslkit.batch import stack_shapes
from sslkit.nn import MomentumTwin
from sslkit.training import checking
from sslkit.training.trying import check_update
from sslkit.training.updating import held_at_first

STEP = "step"
OPTIMIZER = "optimizer/"


class TrainState:
    """An objective, its optimizer's slots and the step, built in a strategy's scope.

    Attributes:
        objective: built; all its variables exist.
        slots: weight path -> slot name -> variable, zeros at the start.
        held: weight path -> updates for which it keeps its value.
        step: int64 [], updates done so far.
        table: name -> variable, for everything above; the names are those of the
            checkpoint: `encoder/...`, `optimizer/<slot>/encoder/...` and `step`.
        metrics: names of the objective's metrics.
    """

    def __init__(
        self,
        objective: Callable[[], Objective],
        optimizer: Optimizer,
        *,
        strategy: tf.distribute.Strategy,
        groups: Mapping[str, ViewGroup],
        batch_size: int,
        seed: int,
        steps: int | None = None,
        examples: int | None = None,
    ):
        """Builds the objective by a symbolic call, which moves no state.

        Args:
            objective: makes the objective; called in the strategy's scope.
            optimizer: says which slots each weight has.
            strategy: where the variables live.
            groups: the views of each image.
            batch_size: images on one replica.
            seed: of the initial weights.
            steps: updates of the whole run, for `Objective.steps`.
            examples: in the training split, for `Objective.examples`.

        Raises:
            UserError: if a variable has no owner or is of a half-precision type, two
                have one name, the objective refuses the views or the batch, or the
                objective or the optimizer is not as `sslkit.api` says; see
                `sslkit.training.checking`.
        """
        created: list[tf.Variable] = []

        def record(make: Callable[..., tf.Variable], **kwargs: Any) -> tf.Variable:
            created.append(make(**kwargs))
            return created[-1]

        with strategy.scope():
            names = checking.Names(objective)
        # Initial weights are drawn from this seed in the order of construction; no
        # other part of a run draws from global state.
        keras.utils.set_random_seed(seed)
        with strategy.scope(), tf.variable_creator_scope(record):
            self.objective = objective()
            checking.check_made(self.objective)
            self.objective.steps = steps
            self.objective.examples = examples
            checking.check_views(self.objective, groups)
            self.objective.check_batch(batch_size * strategy.num_replicas_in_sync)
            layers = checking.layers_of(self.objective)
            with checking.watching(self.objective):
                outcome = self.objective(
                    symbolic_batch(groups, batch_size),
                    step=keras.KerasTensor([], dtype="int64"),
                )
            names.check(self.objective, layers)
            self.metrics = tuple(outcome.metrics)
            freeze_again(self.objective)
            self.objective.after_build()
            weights = by_path(self.objective, self.objective.variables)
            _check_owned(self.objective, created, weights)
            _check_wide(self.objective, weights)
            self.step = _zeros("step", (), "int64")
            self.trainable = by_path(self.objective, self.objective.trainable_variables)
            self.held = held_at_first(self.objective, list(self.trainable))
            check_update(optimizer, self.trainable)
            self.slots = {
                path: {
                    slot: _zeros(slot, weight.shape, weight.dtype)
                    for slot in optimizer.slots
                }
                for path, weight in self.trainable.items()
            }
        self.table = dict(weights)
        for path, slots in self.slots.items():
            for slot, variable in slots.items():
                self.table[f"{OPTIMIZER}{slot}/{path}"] = variable
        self.table[STEP] = self.step

    @property
    def parameters(self) -> int:
        """How many numbers the optimizer updates."""
        return _numbers(self.trainable.values())

    @property
    def frozen(self) -> int:
        """How many numbers are frozen that it would update otherwise.

        Statistics, banks and momentum twins are not counted.
        """
        twins = (
            layer
            for layer in self.objective._flatten_layers()
            if isinstance(layer, MomentumTwin)
        )
        following = {id(weight) for twin in twins for weight in twin.variables}
        # TensorFlow's variable keeps the `trainable` with which a weight was made.
        return _numbers(
            weight
            for weight in self.objective.variables
            if weight.value.trainable
            and not weight.trainable
            and id(weight) not in following
        )


def by_path(
    objective: Objective, variables: Iterable[keras.Variable]
) -> dict[str, keras.Variable]:
    """Maps each variable's path in the objective to it, e.g. `encoder/stem/kernel`.

    Raises:
        UserError: if two variables have one path.
    """
    table: dict[str, keras.Variable] = {}
    for variable in variables:
        path = variable.path.removeprefix(f"{objective.name}/")
        if path in table:
            raise UserError(
                f"objective {objective.name}: two variables are called {path!r}. Give "
                "every layer a name of its own, and call a layer inside its owner."
            )
        table[path] = variable
    return table


def symbolic_batch(groups: Mapping[str, ViewGroup], batch_size: int) -> Batch:
    """Returns a batch of symbolic tensors, to build an objective with.

    They have the dtype `keras.config.floatx`: float32, or float64 in tests that need
    more digits.
    """
    dtype = keras.config.floatx()
    return Batch(
        stacks={
            layout: keras.KerasTensor(shape, dtype=dtype)
            for layout, shape in stack_shapes(groups, batch_size).items()
        },
        label=keras.KerasTensor((batch_size,), dtype="int32"),
        index=keras.KerasTensor((batch_size,), dtype="int32"),
    )


def freeze_again(built: keras.layers.Layer) -> None:
    """Freezes the sub-layers that frozen layers have made since they were frozen.

    `trainable = False` is passed on to existing sub-layers only. A sub-layer that is
    made later, in `build`, is trainable; `keras.layers.MultiHeadAttention` makes such.

    Args:
        built: a layer whose variables exist.
    """
    for layer in built._flatten_layers():
        if not layer.trainable:
            # Not by the layer itself: Keras ignores an assignment that changes nothing.
            for inner in layer._flatten_layers(include_self=False):
                inner.trainable = False


def _numbers(weights: Iterable[keras.Variable]) -> int:
    return sum(int(np.prod(weight.shape)) for weight in weights)


def _check_owned(
    objective: Objective,
    created: Iterable[tf.Variable],
    weights: Mapping[str, keras.Variable],
) -> None:
    owned = {id(weight.value) for weight in weights.values()}
    orphans = [variable.name for variable in created if id(variable) not in owned]
    if orphans:
        raise UserError(
            f"objective {objective.name} made variables that it does not own, so they "
            f"would be neither trained nor saved: {', '.join(orphans)}. Make state "
            "with self.add_weight(name=..., trainable=False), and assign layers to "
            "attributes."
        )


def _check_wide(objective: Objective, weights: Mapping[str, keras.Variable]) -> None:
    half = [
        f"{path} ({weight.dtype})"
        for path, weight in weights.items()
        if weight.dtype in ("bfloat16", "float16")
    ]
    if half:
        raise UserError(
            f"objective {objective.name} keeps variables in a half-precision type: "
            f"{', '.join(half[:3])}. Updates are often too small for it: call "
            "add_weight without a dtype, or with float32."
        )


def _zeros(name: str, shape: tuple[int, ...], dtype: str) -> keras.Variable:
    return keras.Variable(
        initializer="zeros", shape=shape, dtype=dtype, trainable=False, name=name
    )
