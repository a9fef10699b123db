"""View groups: checking them, and dealing views out to them."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from sslkit.api import ViewGroup
from sslkit.errors import UserError


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


def split_views(
    stack: tf.Tensor, groups: Mapping[str, ViewGroup]
) -> dict[str, tf.Tensor]:
    """Deals the views of an image out to their groups, in the order of their numbers.

    Args:
        stack: all views, [views, size, size, 3].
        groups: what they belong to.

    Returns:
        Group -> its views.
    """
    counts = [group.count for group in groups.values()]
    return dict(zip(groups, tf.split(stack, counts), strict=True))
