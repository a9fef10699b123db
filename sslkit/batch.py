"""The views of a batch, view-major: one tensor for all groups of one size.

A network takes a single row of images, and a loss takes the embeddings of one view
after another. So on the device the views are in this order: view 0 of all images, then
view 1 of all images, and so on. The groups are slices of that tensor.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import tensorflow as tf

__all__ = [
    "Batch",
    "Layout",
    "Stacks",
    "ViewGroup",
    "Views",
    "stack_shapes",
    "view_major",
]

Layout = tuple[tuple[str, int], ...]
"""The views of a stack: (group, count) in their order."""

Stacks = Mapping[Layout, tf.Tensor]
"""Layout -> [views, batch, size, size, 3]. It is a plain dictionary, so that it can be
passed to `tf.function`, `strategy.run` and a symbolic call, with the layout as the
key."""


class ViewGroup(NamedTuple):
    """The number and size of the views of one kind that are made of every image.

    Examples:
        >>> group = ViewGroup(count=2, size=224)
        >>> group.count, group.size
        (2, 224)
    """

    count: int
    """Views per image."""
    size: int
    """Side of the square view, in pixels."""


class Views(Mapping[str, tf.Tensor]):
    """The views of a batch: group -> [count, batch, size, size, 3].

    Attributes:
        stacks: the tensors; groups of one size are in one tensor.

    Examples:
        >>> layout = (("instance", 2), ("support", 3))
        >>> views = Views({layout: tf.zeros([5, 8, 32, 32, 3])})
        >>> list(views)
        ['instance', 'support']
        >>> views["support"].shape
        TensorShape([3, 8, 32, 32, 3])
    """

    def __init__(self, stacks: Stacks):
        """Keeps the stacks.

        Args:
            stacks: layout -> [views, batch, size, size, 3].
        """
        self.stacks = dict(stacks)
        self._place: dict[str, tuple[Layout, int, int]] = {}
        for layout in self.stacks:
            start = 0
            for group, count in layout:
                self._place[group] = (layout, start, start + count)
                start += count

    @classmethod
    def of(cls, groups: Mapping[str, tf.Tensor]) -> Views:
        """Makes views from separate tensors: each group becomes a stack.

        Args:
            groups: group -> [count, batch, size, size, 3].
        """
        if isinstance(groups, Views):
            return groups
        return cls(
            {((group, views.shape[0]),): views for group, views in groups.items()}
        )

    def __getitem__(self, group: str) -> tf.Tensor:
        """Returns one group, [count, batch, size, size, 3]."""
        return self._slice(*self._place[group])

    def __iter__(self) -> Iterator[str]:
        """Iterates over the names of the groups."""
        return iter(self._place)

    def __len__(self) -> int:
        """Returns the number of groups."""
        return len(self._place)

    def joined(self, groups: Iterable[str]) -> tf.Tensor:
        """Returns groups one after another, in one tensor.

        Groups that are next to each other in a stack, in its order, are a slice of it;
        for a whole stack, no pixel is copied.

        Args:
            groups: their names, in order; all of one size.

        Returns:
            [views, batch, size, size, 3].

        Raises:
            KeyError: if there is no such group.
            ValueError: if the groups differ in size.
        """
        runs: list[tuple[Layout, int, int]] = []
        for group in groups:
            layout, start, stop = self._place[group]
            if runs and runs[-1][0] == layout and runs[-1][2] == start:
                start = runs.pop()[1]
            runs.append((layout, start, stop))
        sizes = sorted({int(self.stacks[layout].shape[2]) for layout, _, _ in runs})
        if len(sizes) > 1:
            raise ValueError(
                f"views of {sizes} pixels cannot be in one tensor; join those of one "
                "size, as sslkit.objectives.join_sizes does"
            )
        parts = [self._slice(*run) for run in runs]
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)

    def map(self, of: Callable[[tf.Tensor], tf.Tensor]) -> Views:
        """Returns the views with every stack replaced by a function of it.

        Args:
            of: [views, batch, size, size, 3] -> the same shape.
        """
        return Views({layout: of(stack) for layout, stack in self.stacks.items()})

    def _slice(self, layout: Layout, start: int, stop: int) -> tf.Tensor:
        stack = self.stacks[layout]
        return stack if stop - start == stack.shape[0] else stack[start:stop]


class Batch(NamedTuple):
    """The data of one replica in one step."""

    stacks: Stacks
    """float32 in [0, 1]; the tensors of the views."""
    label: tf.Tensor
    """int32 [batch]; -1 if an example has no label. Such examples must have no weight
    in losses that use labels. A mean over examples with labels is over the global
    batch, so their number must be averaged by `sslkit.replica`."""
    index: tf.Tensor | None = None
    """int32 [batch]; each example's index in the training split, below
    `Objective.examples`, for values that are kept per example. The same example may be
    in a batch twice if an epoch ends in it. None in batches that are made by hand."""

    @property
    def views(self) -> Views:
        """The views, group -> [count, batch, size, size, 3]."""
        return Views(self.stacks)


def view_major(groups: Mapping[str, tf.Tensor]) -> Views:
    """Stacks views from the host, which are grouped by example.

    Args:
        groups: group -> [batch, count, size, size, 3], static shapes.

    Returns:
        The views, one stack per size.
    """
    shapes = {name: group.shape for name, group in groups.items()}
    sizes = {name: (count, size) for name, (_, count, size, _, _) in shapes.items()}
    stacks = {}
    for layout in stack_shapes(sizes, batch=0):
        parts = [groups[name] for name, _ in layout]
        joined = parts[0] if len(parts) == 1 else tf.concat(parts, axis=1)
        stacks[layout] = tf.transpose(joined, [1, 0, 2, 3, 4])
    return Views(stacks)


def stack_shapes(
    groups: Mapping[str, tuple[int, int]], batch: int
) -> dict[Layout, tuple[int, int, int, int, int]]:
    """Returns the shapes of a batch's stacks, one stack per size of views.

    Args:
        groups: group -> (count, size), see `ViewGroup`.
        batch: images.

    Returns:
        Layout -> (views, batch, size, size, 3); groups keep their order.
    """
    of_size: dict[int, list[tuple[str, int]]] = collections.defaultdict(list)
    for group, (count, size) in groups.items():
        of_size[size].append((group, count))
    return {
        tuple(layout): (sum(count for _, count in layout), batch, size, size, 3)
        for size, layout in of_size.items()
    }
