"""View groups: checking them, and filling them from one view function."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from sslkit.api import ViewGroup
from sslkit.errors import UserError
from sslkit.views import draws

View = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""(image uint8 [h, w, 3], seed int32 [2]) -> uint8 [size, size, 3]."""


def check_groups(groups: Mapping[str, ViewGroup]) -> dict[str, ViewGroup]:
    """Returns the groups that are not empty.

    Raises:
        UserError: if none is left, a count is negative, a size is no size or sizes
            differ.
    """
    for name, (count, size) in groups.items():
        if count < 0 or size < 1:
            raise UserError(
                f"view group {name} is {count} views of {size} pixels; "
                "give a count of 0 or more and a size of 1 or more"
            )
    kept = {name: group for name, group in groups.items() if group.count}
    if not kept:
        raise UserError("the augmentation makes no views; give a count of 1 or more")
    sizes = {group.size for group in kept.values()}
    if len(sizes) > 1:
        raise UserError(
            f"view groups have sizes {sorted(sizes)}; one size for all is wanted"
        )
    return kept


def make_views(
    view: View,
    image: tf.Tensor,
    seed: tf.Tensor,
    *,
    groups: Mapping[str, ViewGroup],
) -> dict[str, tf.Tensor]:
    """Makes all views of one image with one function.

    Views are numbered across groups, in the order of `groups`; a view's seed depends
    on the example's seed and that number.

    Args:
        view: makes one view.
        image: uint8 [h, w, 3], any size.
        seed: int32 [2], the example's.
        groups: what to make; all of one size.

    Returns:
        Group -> uint8 [count, size, size, 3].
    """
    counts = [group.count for group in groups.values()]
    size = next(iter(groups.values())).size
    # One traced body for all views: a graph of ten copies takes seconds to build.
    stack = tf.map_fn(
        lambda number: view(image, draws.view_seed(seed, number)),
        tf.range(sum(counts)),
        fn_output_signature=tf.TensorSpec([size, size, 3], tf.uint8),
    )
    stack = tf.ensure_shape(stack, [sum(counts), size, size, 3])
    return dict(zip(groups, tf.split(stack, counts), strict=True))
