"""Communication between replicas, for objectives and layers.

These functions can be used in replica context (inside `strategy.run`) and, as a single
replica, outside of any strategy. Gradients flow through `mean` and `gather`. The
convention is: losses are means over a replica's examples, and gradients are averaged
over replicas. So a function of gathered tensors, averaged over replicas, has the
gradient of the same function on one device.

While an objective is built, it is called symbolically, only for shapes, in a strategy's
scope and outside replica context. There, one replica takes the place of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeVar

import keras
import tensorflow as tf

__all__ = [
    "DeviceKind",
    "assign",
    "count",
    "gather",
    "index",
    "kind_of_devices",
    "mean",
]

Nest = TypeVar("Nest")

DeviceKind = Literal["CPU", "GPU", "TPU"]
"""The kind of device on which a step runs."""


def kind_of_devices(names: Iterable[str]) -> DeviceKind:
    """Returns the kind of some devices: an accelerator, if there is one among them.

    Args:
        names: as TensorFlow writes them, such as `/device:GPU:0`.

    Examples:
        >>> kind_of_devices(["/device:CPU:0", "/device:GPU:0"])
        'GPU'
    """
    kinds = {name.upper().rpartition("DEVICE:")[2].partition(":")[0] for name in names}
    if any(kind.startswith("TPU") for kind in kinds):
        return "TPU"
    return "GPU" if any("CPU" not in kind for kind in kinds) else "CPU"


def _context() -> tf.distribute.ReplicaContext | None:
    """Returns the replica context; None if one replica takes the place of all."""
    if count() == 1:
        return None
    context = tf.distribute.get_replica_context()
    if context is None and tf.executing_eagerly():
        raise RuntimeError(
            "sslkit.replica can only be used in replica context; call the function by "
            "strategy.run"
        )
    return context


def count() -> int:
    """Returns the number of replicas of this step."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def index() -> tf.Tensor:
    """Returns this replica's number among them, int32 []."""
    context = _context()
    if context is None:
        return tf.constant(0, tf.int32)
    return tf.cast(context.replica_id_in_sync_group, tf.int32)


def mean(value: Nest) -> Nest:
    """Averages a tensor, or a nest of tensors, elementwise over replicas."""
    context = _context()
    if context is None:
        return value
    found = [tf.convert_to_tensor(tensor) for tensor in tf.nest.flatten(value)]
    # Tensors that are reduced together are packed into one, so they need one dtype.
    for dtype in {tensor.dtype: None for tensor in found}:
        places = [n for n, tensor in enumerate(found) if tensor.dtype == dtype]
        means = context.all_reduce(
            tf.distribute.ReduceOp.MEAN, [found[n] for n in places]
        )
        for n, mean_of in zip(places, means, strict=True):
            found[n] = mean_of
    return tf.nest.pack_sequence_as(value, found)


def gather(value: tf.Tensor) -> tf.Tensor:
    """Joins the replicas' tensors along axis 0, in replica order.

    Args:
        value: [rows, ...], the same static shape on every replica.

    Returns:
        [rows * count(), ...], equal on all replicas.

    Raises:
        ValueError: if the number of rows is not static.

    Examples:
        >>> int(gather(tf.constant([1, 2])).shape[0]) == 2 * count()
        True
    """
    replicas = count()
    if replicas == 1:
        return value
    rows = value.shape[0]
    if rows is None:
        raise ValueError("gather needs a static number of rows; drop the remainder")
    context = _context()
    if context is None:
        return tf.repeat(value, replicas, axis=0)
    # Scattering into zeros and summing has a third of the graph of all_gather, is one
    # collective, and keeps shapes static, as XLA needs.
    total = context.all_reduce(tf.distribute.ReduceOp.SUM, _scatter(value))
    return tf.reshape(total, [replicas * rows, *value.shape[1:]])


def _scatter(value: tf.Tensor) -> tf.Tensor:
    """Puts a replica's tensor at its place among zeros, [count(), *shape]."""
    own, replicas = index(), count()

    @tf.custom_gradient
    def scatter(value: tf.Tensor) -> tuple[tf.Tensor, Callable[..., tf.Tensor]]:
        # Multiplied element by element: a TPU rounds the factors of a matrix product.
        place = tf.one_hot(own, replicas, dtype=value.dtype)
        ones = [1] * value.shape.rank
        spread = tf.reshape(place, [replicas, *ones]) * value[tf.newaxis]
        return spread, lambda upstream: tf.gather(upstream, own)

    return scatter(value)


def assign(variables: Sequence[keras.Variable], values: Sequence[tf.Tensor]) -> None:
    """Sets variables on all replicas at once.

    It is called in replica context, or eagerly outside of it, as in
    `Objective.after_build`.

    Args:
        variables: the weights to set, whatever their aggregation.
        values: the new values, one per variable, equal on all replicas.

    Raises:
        ValueError: if the two differ in length.
    """
    pairs = list(zip(variables, values, strict=True))
    outside = tf.executing_eagerly() and tf.distribute.get_replica_context() is None
    context = None if outside else _context()
    if context is None:
        for variable, value in pairs:
            variable.assign(value)
        return

    def update(strategy: tf.distribute.Strategy, values: Sequence[tf.Tensor]) -> None:
        for (variable, _), value in zip(pairs, values, strict=True):
            strategy.extended.update(
                variable.value, lambda own, new: own.assign(new), args=(value,)
            )

    # One switch to cross-replica context for all variables; separate assignments would
    # need one switch each.
    context.merge_call(update, args=([value for _, value in pairs],))
