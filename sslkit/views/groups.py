"""View groups: checking them, and distributing views to them."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from sslkit.api import ViewGroup
from sslkit.batch import Layout, stack_shapes
from sslkit.errors import UserError


def check_groups(groups: Mapping[str, ViewGroup]) -> dict[str, ViewGroup]:
    """Returns the groups that are not empty.

    Raises:
        UserError: if all are empty, or a count or a size is out of its range.
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
    return kept


def split_views(
    stack: tf.Tensor, groups: Mapping[str, ViewGroup]
) -> dict[str, tf.Tensor]:
    """Distributes the views of an image to their groups, by their numbers.

    Args:
        stack: all views, [views, size, size, 3].
        groups: the groups.

    Returns:
        Group -> its views.

    Examples:
        >>> groups = {"instance": ViewGroup(2, 32), "support": ViewGroup(3, 32)}
        >>> parts = split_views(tf.zeros([5, 32, 32, 3]), groups)
        >>> {name: views.shape[0] for name, views in parts.items()}
        {'instance': 2, 'support': 3}
    """
    counts = [group.count for group in groups.values()]
    return dict(zip(groups, tf.split(stack, counts), strict=True))


def view_numbers(groups: Mapping[str, ViewGroup]) -> dict[str, range]:
    """Numbers the views of an image: first those of the first group, and so on.

    A view's seed depends on its number, see `sslkit.randomness.view_seed`.

    Args:
        groups: in their order.

    Returns:
        Group -> the numbers of its views.
    """
    found, first = {}, 0
    for name, (count, _) in groups.items():
        found[name] = range(first, first + count)
        first += count
    return found


def stack_numbers(groups: Mapping[str, ViewGroup]) -> dict[Layout, tuple[int, ...]]:
    """Returns which views are in each stack of a batch; there is one stack per size.

    Args:
        groups: in their order.

    Returns:
        Layout, as in `sslkit.api.Views.stacks` -> the numbers of its views.
    """
    numbers = view_numbers(groups)
    return {
        layout: tuple(number for name, _ in layout for number in numbers[name])
        for layout in stack_shapes(groups, batch=0)
    }
