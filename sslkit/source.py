"""What every source of images offers: one split of a dataset, with random access."""

from __future__ import annotations

import abc
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from sslkit.errors import UserError, first_line

__all__ = ["UNREADABLE", "OnError", "Source", "is_of_pipeline"]

OnError = Literal["skip", "raise"]
"""What to do about an example that cannot be read."""

UNREADABLE = (
    tf.errors.InvalidArgumentError,
    tf.errors.DataLossError,
    tf.errors.NotFoundError,
    # TensorFlow quotes damaged data in its message, and Python fails to read that.
    UnicodeDecodeError,
)
"""What a pipeline raises when an example cannot be read."""

_ATTEMPTS = 16

# With several devices the trace may name a value on its way from one to another too,
# as `[[cond/IteratorGetNext_1/_17]]`: who waited for it, not who failed.
_READS = re.compile(r"(?:\[\[|\{\{node )[^\s{}\[\]]*IteratorGetNext\w*(?:\]\]|\}\})")


def is_of_pipeline(error: Exception) -> bool:
    """Returns whether an error was met where batches are made, not where they are used.

    Args:
        error: one of `UNREADABLE`, as a step that reads and computes raises it.
    """
    # The operation that a step reads by, on one device or several, stands in the trace
    # of what comes through it. Damaged text says nothing, and comes from data.
    return not isinstance(error, tf.errors.OpError) or (
        _READS.search(error.message) is not None
    )


class Source(abc.ABC):
    """One split of a dataset, with random access by index.

    A plugin's constructor takes the keyword `split`, the split's name, and whatever it
    needs beside it; it refuses a split that there is not. A keyword that is a path is
    called `path`, or ends in `_path` or `_dir`: a run keeps those absolute.

    An example that cannot be read is replaced in training by the next one that can,
    under the seed of the place it fills, and left out of evaluation. So batches keep
    their shape and objectives need not know, and what a position of the run shows
    still depends on that position alone, whatever the hosts, replicas or restarts.
    After 16 in a row that cannot be read the run ends. `skipped` tells which they were.

    Attributes:
        name: dataset and split, for messages.
        size: examples.
        classes: number of classes, or None where there are no labels.
        label_names: what each class is called; empty where that is not known.
        on_error: `skip` as above, or `raise` to end the run at the first one; the
            core sets it.
        parts: names of the splits that a run trains on and is evaluated on, for
            `summary`; the core sets it.
    """

    name: str
    size: int
    classes: int | None
    label_names: Sequence[str]
    on_error: OnError = "skip"
    parts: tuple[str, str] = ("train", "test")

    @abc.abstractmethod
    def example(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads one example, in graph operations only.

        Args:
            index: int64 [], in [0, size).

        Returns:
            image, uint8 [height, width, 3]; label, int32 [], -1 where there is none.
        """

    def check(self) -> None:
        """Refuses what stands in the way of reading; called when `on_error` is set.

        Raises:
            UserError: e.g. for files that are not images where `on_error` is `raise`.
        """
        return

    def beside(self, split: str) -> Source | None:
        """Opens another split of the same data, by what this one has already read.

        Args:
            split: its name.

        Returns:
            The split; None if making it anew costs no more.

        Raises:
            UserError: if there is no such split.
        """
        del split
        return None

    def labels(self) -> np.ndarray | None:
        """Returns the labels of all examples if it knows them without reading them.

        Returns:
            int32 [size], -1 where there is none; None if they stand in the examples.
        """
        return None

    def label(self, index: tf.Tensor) -> tf.Tensor:
        """Reads one example's label, in graph operations only.

        Args:
            index: int64 [], in [0, size).

        Returns:
            int32 [], -1 where there is none.
        """
        return self.example(index)[1]

    def attempt(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Reads one example if it can be read, in graph operations only.

        Args:
            index: int64 [], in [0, size).

        Returns:
            image and label as of `example`, and whether they were read, bool []; if
            not, a black pixel and -1. Where `on_error` is `raise`, an error.
        """
        image, label, ok = self._try(index)
        with tf.control_dependencies([self.note(index, tf.cast(~ok, tf.int64))]):
            return image, label, tf.identity(ok)

    def search(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Reads one example, or the first after it that can be read.

        Does nothing but read, so that it may run in another process. What it passed
        over, `note` remembers for `skipped`.

        Args:
            index: int64 [], in [0, size).

        Returns:
            image and label as of `example`, and how many it passed over, int64 [].
        """
        if self.on_error == "raise":
            return *self.example(index), tf.constant(0, tf.int64)

        def step(
            place: tf.Tensor, missed: tf.Tensor, *last: tf.Tensor
        ) -> tuple[tf.Tensor, ...]:
            del last
            image, label, ok = self._try(place)
            missed += tf.cast(~ok, tf.int64)
            return (place + 1) % self.size, missed, image, label, ok

        any_image = tf.TensorShape([None, None, 3])
        scalar = tf.TensorShape([])
        most = min(_ATTEMPTS, self.size)
        _, missed, image, label, ok = tf.while_loop(
            lambda place, missed, image, label, ok: (missed < most) & ~ok,
            step,
            (
                index,
                tf.constant(0, tf.int64),
                tf.zeros([1, 1, 3], tf.uint8),
                tf.constant(-1),
                tf.constant(False),
            ),
            shape_invariants=(scalar, scalar, any_image, scalar, scalar),
        )
        # Says what is wrong with the first of too many.
        image, label = tf.cond(ok, lambda: (image, label), lambda: self.example(index))
        return tf.ensure_shape(image, any_image), label, missed

    def note(self, index: tf.Tensor, missed: tf.Tensor) -> tf.Operation:
        """Remembers what could not be read, for `skipped`; in graph operations.

        Args:
            index: int64 [] or [n], where reading began.
            missed: int64, shaped like `index`: how many from there on could not be
                read, at most 16.
        """

        def remember() -> tf.Operation:
            offsets = tf.range(_ATTEMPTS, dtype=tf.int64)
            places = (tf.reshape(index, [-1, 1]) + offsets) % self.size
            places = places[offsets < tf.reshape(missed, [-1, 1])]
            return tf.group(self._unreadable.insert(places, places))

        return tf.cond(tf.reduce_any(missed > 0), remember, tf.no_op)

    def complaint(self, indices: Sequence[int]) -> str | None:
        """Returns what to tell the user when a run stumbled over an example.

        Args:
            indices: the examples that the run was about to read.

        Returns:
            Those that cannot be read, and what to do; None if all of them can.
        """
        broken = self.diagnose(list(dict.fromkeys(indices)))
        if not broken:
            return None
        return (
            f"an example of {self.name} cannot be read: {'; '.join(broken)}. Repair or "
            "remove it and run the same command again"
        )

    def skipped(self, *, limit: int = 20) -> list[str]:
        """Returns what could not be read so far, and why.

        Reads it once more to find out. Knows what was read in this process alone.

        Args:
            limit: examples to name.

        Returns:
            Nothing if all could be read; else a line with the count, and one for each
            example as of `diagnose`.
        """
        indices = sorted(self._unreadable.export()[0].numpy().tolist())
        if not indices:
            return []
        lines = self.diagnose(indices[:limit], limit=limit)
        if mended := min(limit, len(indices)) - len(lines):
            lines.append(
                f"{mended} that can be read now, from here: a disk, or a worker of "
                "data.service, could not"
            )
        if len(indices) > limit:
            lines.append(f"and {len(indices) - limit} more")
        count = f"{len(indices)} of {self.size} examples of {self.name}"
        return [f"skipped {count}, which cannot be read:", *lines]

    def _try(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Does what `attempt` promises, and remembers nothing."""
        if self.on_error == "raise":
            return *self.example(index), tf.constant(True)

        def read(place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            return *self.example(place), tf.constant(True)

        # The one way to catch an error inside a graph: a dataset of one element, or,
        # where reading it failed, of the one put behind it. Not `reduce`, which would
        # optimise the dataset anew for every example, at 60 ms.
        nothing = tf.zeros([1, 1, 3], tf.uint8), tf.constant(-1), tf.constant(False)
        found = tf.data.Dataset.from_tensors(index).map(read).ignore_errors()
        found = found.concatenate(tf.data.Dataset.from_tensors(nothing)).take(1)
        image, label, ok = found.get_single_element()
        return tf.ensure_shape(image, [None, None, 3]), label, ok

    @functools.cached_property
    def _unreadable(self) -> tf.lookup.experimental.MutableHashTable:
        with tf.init_scope(), tf.device("CPU:0"):
            return tf.lookup.experimental.MutableHashTable(tf.int64, tf.int64, -1)

    def summary(self) -> str:
        """Returns one line that says what was understood of the data."""
        what = "no classes" if self.classes is None else f"{self.classes:,} classes"
        return f"data {self.name}: {what}, {self.size:,} images"

    def record(self) -> Mapping[str, Any]:
        """Returns what tells these examples from others, for the folder of a run.

        Unlike `identity` it stays the same where the data is moved or copied.

        Returns:
            Plain values by name, such as JSON holds.
        """
        return {"name": self.name, "size": self.size, "classes": self.classes}

    def why_unlabelled(self) -> str:
        """Returns why there are no labels, as the end of a sentence about the data."""
        return "has none"

    def identity(self) -> str:
        """Returns what changes whenever an example of the source may have changed.

        Raises:
            UserError: if that cannot be known.
        """
        raise UserError(
            f"{self.name} is not read from files, so that a cache on disk is no use; "
            "set data.cache = None"
        )

    def file(self, index: int) -> str | None:
        """Returns the path of the file that is an example; None if it is not one."""
        del index
        return None

    def describe(self, index: int) -> str:
        """Returns where an example comes from: a file, or a record of a file."""
        return f"example {index} of {self.name}"

    def read(self, indices: tf.data.Dataset) -> tf.data.Dataset:
        """Reads examples in parallel, in the order of their indices.

        Args:
            indices: dataset of int64 [].

        Returns:
            Dataset of {"image": uint8 [height, width, 3], "label": int32 [],
            "index": int64 []}.
        """

        def load(index: tf.Tensor) -> dict[str, tf.Tensor]:
            image, label = self.example(index)
            return {"image": image, "label": label, "index": index}

        return indices.map(
            load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )

    def diagnose(
        self, indices: Sequence[int] | None = None, *, limit: int = 5
    ) -> list[str]:
        """Finds examples that cannot be read, after a run stumbled over one.

        Streams, keeps nothing but its findings, and stops at `limit` of them.

        Args:
            indices: where to look; all examples unless given.
            limit: findings to stop at.

        Returns:
            One line for each: where it comes from and what is wrong with it.
        """
        suspects = range(self.size) if indices is None else indices
        if isinstance(suspects, range):
            dataset = tf.data.Dataset.range(
                suspects.start, suspects.stop, suspects.step
            )
        else:
            places = tf.constant(suspects, tf.int64, [len(suspects)])
            dataset = tf.data.Dataset.from_tensor_slices(places)
        elements = iter(self.read(dataset))
        found: list[str] = []
        # An error takes the place of its element, so the two stay in step.
        for index in suspects:
            try:
                next(elements)
            except (tf.errors.OpError, UnicodeDecodeError) as error:
                found.append(f"{self.describe(index)}: {_cause(error)}")
                if len(found) == limit:
                    break
        return found


def _cause(error: tf.errors.OpError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is damaged"
    # Names of nodes and iterators say nothing to whoever has to mend the file.
    line = first_line(error)
    line = line.rpartition("}} ")[2].partition(" [Op:")[0]
    return re.sub(r"^Error in user-defined function .* iterator: \S+: ", "", line)
