"""The order of the embeddings of the global batch.

Notation: V views of each of b images on this replica, B = b x replicas images in the
global batch, D dimensions. Embeddings of the global batch are laid out view-major:
view 0 of all images, then view 1 of all images, and so on; the images of a view are in
replica order. Row v * B + g is view v of global image g.
"""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow as tf

from sslkit import replica
from sslkit.api import UserError, Views


def join_views(views: Views, groups: Iterable[str]) -> tf.Tensor:
    """Joins groups of views into one row of images, view-major.

    Groups that are next to each other in their stack are not copied, see
    `Views.joined`.

    Args:
        views: group -> [count, b, size, size, 3].
        groups: the groups to take, in order; all of one size.

    Returns:
        [V * b, size, size, 3]; V is the sum of the counts.

    Examples:
        >>> views = Views.of({"instance": tf.zeros([2, 8, 32, 32, 3])})
        >>> join_views(views, ["instance"]).shape
        TensorShape([16, 32, 32, 3])
    """
    stack = views.joined(groups)
    return tf.reshape(stack, [-1, *stack.shape[2:]])


def join_sizes(views: Views, groups: Iterable[str]) -> list[tf.Tensor]:
    """Joins groups of views into one row of images per size.

    It is for multi-crop: an encoder is called once per row. If the groups of one size
    are named one after the other, the encoder's results, joined again, are view-major
    in the order of the groups.

    Args:
        views: group -> [count, b, size, size, 3].
        groups: the groups to take, in order.

    Returns:
        [V * b, size, size, 3] per size, in the order in which the sizes first appear.
    """
    of_size: dict[int, list[str]] = {}
    for group in groups:
        of_size.setdefault(int(views[group].shape[2]), []).append(group)
    return [join_views(views, names) for names in of_size.values()]


def each_view(views: Views, groups: Iterable[str]) -> list[tf.Tensor]:
    """Returns the views of some groups one by one.

    It is for methods that encode one view after another, so that batch normalisation
    uses the statistics of one view; with `join_views`, all are encoded together.

    Args:
        views: group -> [count, b, size, size, 3].
        groups: the groups to take, in order; sizes may differ.

    Returns:
        [b, size, size, 3] per view.

    Examples:
        >>> views = Views.of({"instance": tf.zeros([2, 8, 32, 32, 3])})
        >>> first, second = each_view(views, ["instance"])
        >>> first.shape
        TensorShape([8, 32, 32, 3])
    """
    return [view for group in groups for view in tf.unstack(views[group])]


def unit_views(projected: tf.Tensor, *, views: int) -> tf.Tensor:
    """Normalises view-major projections to unit length.

    Args:
        projected: float [V * b, D].
        views: V.

    Returns:
        float [V, b, D].

    Examples:
        >>> unit = unit_views(tf.constant([[3.0, 4.0], [0.0, 2.0]]), views=2)
        >>> unit.shape
        TensorShape([2, 1, 2])
        >>> unit[:, 0].numpy()
        array([[0.6, 0.8],
               [0. , 1. ]], dtype=float32)
    """
    unit = tf.math.l2_normalize(projected, axis=1)
    return tf.reshape(unit, [views, -1, unit.shape[1]])


def gather_view_major(embeddings: tf.Tensor) -> tf.Tensor:
    """Collects the embeddings of the global batch, with gradients.

    Args:
        embeddings: [V, b, D], this replica's.

    Returns:
        [V * B, D], view-major, equal on all replicas.
    """
    everyone = replica.gather(tf.transpose(embeddings, [1, 0, 2]))
    return tf.reshape(tf.transpose(everyone, [1, 0, 2]), [-1, embeddings.shape[2]])


def gather_labels(labels: tf.Tensor) -> tf.Tensor:
    """Collects the labels of the global batch, on every kind of device.

    Args:
        labels: int32 [b], this replica's.

    Returns:
        int32 [B], in the order of `gather_view_major`, equal on all replicas.

    Examples:
        >>> gather_labels(tf.constant([3, -1])).numpy()
        array([ 3, -1], dtype=int32)
    """
    # Gathering multiplies, and some devices cannot multiply integers. Labels are small
    # whole numbers, which are exact in float32.
    return tf.cast(replica.gather(tf.cast(labels, tf.float32)), tf.int32)


def own_columns(*, views: int, batch: int) -> tf.Tensor:
    """Returns the places of this replica's views among the candidates.

    Args:
        views: V.
        batch: b, images of this replica.

    Returns:
        int32 [V, b]: view v of this replica's image i is row (v, i) of the global
        batch, view-major.

    Examples:
        >>> own_columns(views=2, batch=3).numpy()
        array([[0, 1, 2],
               [3, 4, 5]], dtype=int32)
    """
    place = replica.index() * batch + tf.range(batch)
    return tf.range(views)[:, None] * (batch * replica.count()) + place[None, :]


def check_contrast(name: str, images: int) -> None:
    """Refuses a global batch of a single image, which has no negatives.

    Args:
        name: the objective's.
        images: B.

    Raises:
        UserError: if the global batch is a single image.
    """
    if images < 2:
        raise UserError(
            f"{name}: the global batch is {images} image, and a contrastive loss needs "
            "at least 2. Raise train.batch_size."
        )
