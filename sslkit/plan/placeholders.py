"""Placeholders for the devices and the data that a plan is for but does not have."""

from __future__ import annotations

import functools

import tensorflow as tf

from sslkit.api import DeviceKind, Runner
from sslkit.source import Source


class _Replicas(tf.distribute.OneDeviceStrategy):
    """One device in place of many.

    Outside replica context `sslkit.replica` repeats the values of one replica for all:
    gathered tensors have the shape that they would have, and nothing is sent.
    """

    def __init__(self, replicas: int) -> None:
        super().__init__("CPU:0")
        self._replicas = replicas

    @property
    def num_replicas_in_sync(self) -> int:
        return self._replicas


class PlaceholderRunner(Runner):
    """Any number of replicas, for which a step is traced and never run.

    Args:
        replicas: the number of replicas.
    """

    def __init__(self, *, replicas: int) -> None:
        """Keeps the options; see the class."""
        self._replicas = replicas

    @functools.cached_property
    def strategy(self) -> tf.distribute.Strategy:
        """One device in place of all."""
        return _Replicas(self._replicas)

    @property
    def device(self) -> DeviceKind:
        """An accelerator, because a plan asks what a host must make for one."""
        return "GPU"

    @property
    def jit(self) -> bool:
        """False, because nothing runs."""
        return False


class PlaceholderSource(Source):
    """A split of which only the number of examples is known.

    Args:
        size: the number of examples.
    """

    def __init__(self, size: int) -> None:
        """Keeps the options; see the class."""
        self.name = "data that is not on this machine"
        self.size = size
        self.classes = None
        self.label_names = ()

    def example(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Raises an error, because there are no examples."""
        raise AssertionError("a plan does not read examples of missing data")


class PlaceholderData:
    """A dataset of which only the number of training examples is known.

    Args:
        examples: the number of training examples.
    """

    connection = None

    def __init__(self, examples: int) -> None:
        """Keeps the options; see the class."""
        self._examples = examples

    def source(self, split: str) -> Source:
        """Returns the same placeholder for every split."""
        del split
        return PlaceholderSource(self._examples)

    def skipped(self) -> list[str]:
        """Returns an empty list, because no image is read."""
        return []
