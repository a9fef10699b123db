"""Checks of sources, augmentations, optimizers and schedules before a run.

They are traced as in a run, and nothing but a few rates is computed. A message says
which class it is about, what came and what was wanted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sslkit.api import Augmentation, Optimizer, Schedule, Source, UserError, Weight
from sslkit.errors import describe
from sslkit.training.checking import described, drawn


def check_example(augmentation: Augmentation) -> None:
    """Checks what an augmentation's `example` returns for an image, in a graph.

    Raises:
        UserError: if that is not each of its view groups as uint8 [count, size, size,
            3], or if random numbers are drawn without a seed.
    """
    name = f"augmentation {type(augmentation).__name__}"

    @_traced(tf.TensorSpec([None, None, 3], tf.uint8))
    def _(image: tf.Tensor) -> None:
        try:
            made = augmentation.example(image, tf.zeros([2], tf.int32))
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{name}: example fails where the image is a tensor without a value: "
                f"{describe(error)}. Use operations of TensorFlow."
            ) from error
        groups = dict(augmentation.groups)
        if not isinstance(made, Mapping) or set(made) != set(groups):
            came = sorted(made) if isinstance(made, Mapping) else described(made)
            raise UserError(
                f"{name}: example returns {came}; wanted a mapping of {sorted(groups)}."
            )
        for group, (count, size) in groups.items():
            value, shape = made[group], [count, size, size, 3]
            if (
                not tf.is_tensor(value)
                or value.dtype != tf.uint8
                or (not value.shape.is_compatible_with(shape))
            ):
                raise UserError(
                    f"{name}: example returns {group!r} as {described(value)}; wanted "
                    f"uint8 {shape}."
                )
        random = drawn(tf.compat.v1.get_default_graph())
        if random:
            raise UserError(
                f"{name}: example draws random numbers that no seed of the run fixes "
                f"({', '.join(random)}), so the views of a resumed run would differ. "
                "Draw with the seed that it is given: sslkit.randomness.uniform or "
                "tf.random.stateless_…"
            )


def check_source(source: Source) -> None:
    """Checks what a source's `example` returns, in a graph.

    Raises:
        UserError: if that is not an image and its label.
    """
    name = f"source {type(source).__name__}"

    @_traced(tf.TensorSpec([], tf.int64))
    def _(index: tf.Tensor) -> None:
        try:
            found = source.example(index)
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{name}: example fails where the index is a tensor without a value: "
                f"{describe(error)}. Use operations of TensorFlow."
            ) from error
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise UserError(
                f"{name}: example returns {described(found)}; wanted (image, label)."
            )
        wanted = {
            "image": (tf.uint8, [None, None, 3], "uint8 [height, width, 3]"),
            "label": (tf.int32, [], "int32 []"),
        }
        for value, (what, (dtype, shape, words)) in zip(
            map(tf.convert_to_tensor, found), wanted.items(), strict=True
        ):
            if value.dtype != dtype or not value.shape.is_compatible_with(shape):
                raise UserError(
                    f"{name}: example returns the {what} as {described(value)}; wanted "
                    f"{words}."
                )


def check_update(optimizer: Optimizer, trainable: Mapping[str, keras.Variable]) -> None:
    """Checks what an optimizer returns for the smallest weight, in a graph.

    Raises:
        UserError: if that is not the weight and its slots in their former shapes; or if
            the optimizer refuses the paths.
    """
    if not trainable:
        return
    path = min(trainable, key=lambda name: np.prod(trainable[name].shape))
    weight = trainable[path]

    def zeros() -> tf.Tensor:
        return tf.zeros(weight.shape, weight.dtype)

    @_traced()
    def _() -> None:
        alone = Weight(
            zeros(),
            zeros(),
            {slot: zeros() for slot in optimizer.slots},
            rate=tf.zeros([], keras.config.floatx()),
            updates=tf.zeros([], tf.int64),
        )
        moved = _moved(optimizer, path, alone)
        check_returned(optimizer, weight, moved)

    optimizer.check(list(trainable))


def check_rate(schedule: Schedule, steps: int, batch_size: int, examples: int) -> None:
    """Checks the rates that a schedule gives in a graph.

    Args:
        schedule: gives the rates.
        steps: updates of the whole run.
        batch_size: the global batch.
        examples: examples in the training split.

    Raises:
        UserError: if a rate cannot be had there, is not a float32 scalar, or is
            negative or not finite at the first, middle or last step.
    """
    name = f"schedule {type(schedule).__name__}"

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([], tf.int64)])
    def rate(step: tf.Tensor) -> tf.Tensor:
        try:
            found = tf.convert_to_tensor(
                schedule.rate(
                    step, steps=steps, batch_size=batch_size, examples=examples
                )
            )
        except UserError:
            raise
        except Exception as error:
            raise UserError(
                f"{name}: rate fails where the step is a tensor without a value: "
                f"{describe(error)}. Use operations of TensorFlow, such as tf.where."
            ) from error
        if found.dtype != tf.float32 or found.shape != ():
            raise UserError(
                f"{name}: rate returns {described(found)}; wanted a tensor, float32 []."
            )
        return found

    for step in (0, steps // 2, steps - 1):
        found = float(rate(tf.constant(step, tf.int64)))
        if not 0 <= found < math.inf:
            raise UserError(
                f"{name}: the rate is {found:g} at step {step} of {steps}; wanted a "
                "finite number, 0 or more."
            )


def _traced(*arguments: tf.TensorSpec) -> Callable[[Callable[..., None]], None]:
    """Traces a function at once, as in a run; nothing in it is executed.

    A plain `tf.Graph` would not do: there, == between two tensors gives a Python
    boolean, as in TensorFlow 1.
    """

    def trace(function: Callable[..., None]) -> None:
        tf.function(function, autograph=False).get_concrete_function(*arguments)

    return trace


def _moved(optimizer: Optimizer, path: str, weight: Weight) -> Any:
    """Returns an optimizer's result for one weight, of any type."""
    name = f"optimizer {type(optimizer).__name__}"
    if type(optimizer).update_all is Optimizer.update_all:
        if type(optimizer).update is Optimizer.update:
            raise UserError(
                f"{name} implements neither update nor update_all; wanted one of them."
            )
        return optimizer.update(
            weight.value,
            weight.gradient,
            weight.slots,
            path=path,
            rate=weight.rate,
            step=weight.updates,
        )
    every = optimizer.update_all({path: weight}, step=weight.updates, steps=100)
    if not isinstance(every, Mapping) or set(every) != {path}:
        came = sorted(every) if isinstance(every, Mapping) else described(every)
        raise UserError(
            f"{name}: update_all returns {came}; wanted a mapping of the paths that "
            f"were given, [{path!r}]."
        )
    return every[path]


def check_returned(
    optimizer: Optimizer, weight: keras.Variable, returned: object
) -> None:
    """Checks what an optimizer returns for a weight.

    Raises:
        UserError: if that is not the weight and its slots in their former shapes.
    """
    name = f"optimizer {type(optimizer).__name__}"
    declared = sorted(optimizer.slots)
    if (
        not isinstance(returned, tuple)
        or len(returned) != 2
        or not isinstance(returned[1], Mapping)
    ):
        raise UserError(
            f"{name}: update returns {described(returned)}; wanted (new weight, "
            f"{{slot: new value}}) with the slots {declared}."
        )
    new, slots = returned
    if sorted(slots) != declared:
        raise UserError(
            f"{name}: update returns the slots {sorted(slots)} and `slots` declares "
            f"{declared}; wanted the same names in both."
        )
    shape = tuple(weight.shape)
    for what, value in {"the weight": new, **slots}.items():
        if (
            not tf.is_tensor(value)
            or tuple(value.shape) != shape
            or value.dtype.name != weight.dtype
        ):
            raise UserError(
                f"{name}: update returns {what} as {described(value)}; wanted "
                f"{weight.dtype} {list(shape)}, as it came."
            )
