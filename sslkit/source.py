"""The contract of sources of images: one split of a dataset, with random access."""

from __future__ import annotations

import abc
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from sslkit import deprecation
from sslkit.errors import UserError, first_line

__all__ = ["UNREADABLE", "OnError", "Source", "is_of_pipeline"]

OnError = Literal["skip", "raise"]
"""What to do about an example that cannot be read."""

UNREADABLE = (
    tf.errors.InvalidArgumentError,
    tf.errors.DataLossError,
    tf.errors.NotFoundError,
    # TensorFlow quotes damaged data in its message, which Python may fail to decode.
    UnicodeDecodeError,
)
"""The errors of a pipeline when an example cannot be read."""

_ATTEMPTS = 16

# With several devices the trace may also name a value that is sent between devices, as
# `[[cond/IteratorGetNext_1/_17]]`: that is what waited for it, not what failed.
_READS = re.compile(r"(?:\[\[|\{\{node )[^\s{}\[\]]*IteratorGetNext\w*(?:\]\]|\}\})")


def is_of_pipeline(error: Exception) -> bool:
    """Returns whether an error is from making batches, and not from using them.

    Args:
        error: one of `UNREADABLE`, as a step that reads and computes raises it.
    """
    # An error of a pipeline has the reading operation of the step in its trace, on one
    # device or several. A message that cannot be decoded is from damaged data.
    return not isinstance(error, tf.errors.OpError) or (
        _READS.search(error.message) is not None
    )


class Source(abc.ABC):
    """One split of a dataset, with random access by index.

    A plugin's constructor has the keyword `split`, the split's name, and any other
    keywords that it needs; it refuses a split that does not exist. A keyword for a path
    is called `path`, or ends in `_path` or `_dir`: in the configuration of a run, these
    are absolute.

    In training, an example that cannot be read is replaced by the next one that can be
    read, with the seed of the replaced example; in evaluation it is left out. So
    batches keep their shape, objectives need not handle it, and the views at a position
    of the run still depend only on that position, whatever the hosts, replicas or
    restarts. After 16 unreadable examples in a row the run ends. `skipped` says which
    they were.

    Attributes:
        name: dataset and split, for messages.
        size: examples.
        classes: number of classes, or None if there are no labels.
        label_names: the name of each class; empty if they are not known.
        on_error: `skip` as above, or `raise` to end the run at the first unreadable
            example; the core sets it.
        parts: names of the splits for training and evaluation, for `summary`; the core
            sets it.
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
            image, uint8 [height, width, 3]; label, int32 [], -1 if there is none.
        """

    def check(self) -> None:
        """Refuses data that cannot be read; called when `on_error` is set.

        Raises:
            UserError: e.g. for files that are not images if `on_error` is `raise`.
        """
        return

    def beside(self, split: str) -> Source | None:
        """Opens another split of the same data, using what this one has already read.

        Args:
            split: its name.

        Returns:
            The split; None if opening it in the usual way costs no more.

        Raises:
            UserError: if there is no such split.
        """
        del split
        return None

    def labels(self) -> np.ndarray | None:
        """Returns the labels of all examples, if they are known without reading them.

        Returns:
            int32 [size], -1 if there is none; None if labels are part of the examples.
        """
        return None

    def label(self, index: tf.Tensor) -> tf.Tensor:
        """Reads one example's label, in graph operations only.

        Args:
            index: int64 [], in [0, size).

        Returns:
            int32 [], -1 if there is none.
        """
        return self.example(index)[1]

    def attempt(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Reads one example if it can be read, in graph operations only.

        Args:
            index: int64 [], in [0, size).

        Returns:
            image and label as from `example`, and whether they were read, bool []; if
            not, a black pixel and -1. If `on_error` is `raise`, there is an error
            instead.
        """
        image, label, ok = self._try(index)
        with tf.control_dependencies([self.note(index, tf.cast(~ok, tf.int64))]):
            return image, label, tf.identity(ok)

    def search(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Reads one example, or the first after it that can be read.

        It only reads, so that it may run in another process. The examples that it skips
        are recorded by `note`, for `skipped`.

        Args:
            index: int64 [], in [0, size).

        Returns:
            image and label as from `example`, and how many were skipped, int64 [].
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
        # Raises the error of the first if there are too many.
        image, label = tf.cond(ok, lambda: (image, label), lambda: self.example(index))
        return tf.ensure_shape(image, any_image), label, missed

    def note(self, index: tf.Tensor, missed: tf.Tensor) -> tf.Operation:
        """Records which examples could not be read, for `skipped`; in graph operations.

        Args:
            index: int64 [] or [n], the first example that was tried.
            missed: int64, shaped like `index`: how many from there on could not be
                read, at most 16.
        """

        def remember() -> tf.Operation:
            offsets = tf.range(_ATTEMPTS, dtype=tf.int64)
            places = (tf.reshape(index, [-1, 1]) + offsets) % self.size
            places = places[offsets < tf.reshape(missed, [-1, 1])]
            return tf.group(self._unreadable.insert(places, places))

        return tf.cond(tf.reduce_any(missed > 0), remember, tf.no_op)

    def problem(self, indices: Sequence[int]) -> str | None:
        """Returns the error line for a run that could not read an example.

        Args:
            indices: the examples that the run was about to read.

        Returns:
            A line with those that cannot be read, and what to do; None if all can be.
        """
        broken = self.diagnose(list(dict.fromkeys(indices)))
        if not broken:
            return None
        return (
            f"an example of {self.name} cannot be read: {'; '.join(broken)}. Repair or "
            "remove it and run the same command again"
        )

    def complaint(self, indices: Sequence[int]) -> str | None:
        """Returns `problem`; the old name of that method."""
        deprecation.warn("Source.complaint", "Source.problem", gone_in="sslkit 0.3")
        return self.problem(indices)

    def skipped(self, *, limit: int = 20) -> list[str]:
        """Returns which examples could not be read so far, and why.

        They are read once more to find out. Only reading in this process counts.

        Args:
            limit: examples to name.

        Returns:
            An empty list if all could be read; else a line with the count, and one per
            example as from `diagnose`.
        """
        indices = sorted(self._unreadable.export()[0].numpy().tolist())
        if not indices:
            return []
        lines = self.diagnose(indices[:limit], limit=limit)
        if mended := min(limit, len(indices)) - len(lines):
            lines.append(
                f"{mended} that can be read now by this process: a disk, or a worker "
                "of data.service, failed before"
            )
        if len(indices) > limit:
            lines.append(f"and {len(indices) - limit} more")
        count = f"{len(indices)} of {self.size} examples of {self.name}"
        return [f"skipped {count}, which cannot be read:", *lines]

    def _try(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Does the same as `attempt`, without recording anything."""
        if self.on_error == "raise":
            return *self.example(index), tf.constant(True)

        def read(place: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            return *self.example(place), tf.constant(True)

        # The only way to catch an error inside a graph is a dataset: its first element
        # is the example or, if reading failed, the fallback after it. `reduce` would
        # optimise the dataset again for every example, which takes 60 ms.
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
        """Returns one line that describes the data."""
        what = "no classes" if self.classes is None else f"{self.classes:,} classes"
        return f"data {self.name}: {what}, {self.size:,} images"

    def record(self) -> Mapping[str, Any]:
        """Returns facts that identify these examples, for the folder of a run.

        Unlike `identity`, they stay the same if the data is moved or copied.

        Returns:
            Name -> value that can be written as JSON.
        """
        return {"name": self.name, "size": self.size, "classes": self.classes}

    def why_unlabelled(self) -> str:
        """Returns why there are no labels, as the end of a sentence about the data."""
        return "has none"

    def identity(self) -> str:
        """Returns a text that changes whenever an example may have changed.

        Raises:
            UserError: if that cannot be known.
        """
        raise UserError(
            f"{self.name} is not read from files, so a cache on disk is not possible; "
            "set data.cache = None"
        )

    def file(self, index: int) -> str | None:
        """Returns the path of the file that is an example; None if it is not one."""
        del index
        return None

    def describe(self, index: int) -> str:
        """Returns the place of an example: a file, or a record of a file."""
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
        """Finds examples that cannot be read, after a run has failed to read one.

        Memory holds one example at a time and the lines. It stops at `limit` lines.

        Args:
            indices: the examples to read; all unless given.
            limit: the most lines.

        Returns:
            One line per unreadable example: its place, and what is wrong with it.
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
        # An error replaces its element, so indices and elements correspond.
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
    # Names of nodes and iterators do not help to repair the file.
    line = first_line(error)
    line = line.rpartition("}} ")[2].partition(" [Op:")[0]
    return re.sub(r"^Error in user-defined function .* iterator: \S+: ", "", line)
