"""What every source of labelled or unlabelled images offers."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import tensorflow as tf

__all__ = ["Source"]


class Source(abc.ABC):
    """One split of a dataset, with random access by index.

    Attributes:
        name: dataset and split, for messages.
        size: examples.
        classes: number of classes, or None where there are no labels.
        label_names: what each class is called; empty where that is not known.
    """

    name: str
    size: int
    classes: int | None
    label_names: Sequence[str]

    @abc.abstractmethod
    def example(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads one example, in graph operations only.

        Args:
            index: int64 [], in [0, size).

        Returns:
            image, uint8 [height, width, 3]; label, int32 [], -1 where there is none.
        """

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
            except tf.errors.OpError as error:
                found.append(f"{self.describe(index)}: {_cause(error)}")
                if len(found) == limit:
                    break
        return found


def _cause(error: tf.errors.OpError) -> str:
    # Graph node names say nothing to whoever has to mend the file.
    line = error.message.strip().splitlines()[0]
    return line.rpartition("}} ")[2].partition(" [Op:")[0]
