"""Devices and data that are not here, as far as a plan has to know them."""

from __future__ import annotations

import functools

import tensorflow as tf

from sslkit.api import DeviceKind, Runner
from sslkit.source import Source


class _Replicas(tf.distribute.OneDeviceStrategy):
    """One device that stands for many.

    Outside replica context `sslkit.replica` lets one replica stand for all: what it
    gathers has the shape it would have, and nothing is sent.
    """

    def __init__(self, replicas: int) -> None:
        super().__init__("CPU:0")
        self._replicas = replicas

    @property
    def num_replicas_in_sync(self) -> int:
        return self._replicas


class ImaginedRunner(Runner):
    """Any number of replicas, to trace a step for and never to run it.

    Args:
        replicas: how many.
    """

    def __init__(self, *, replicas: int) -> None:
        """Keeps the options; see the class."""
        self._replicas = replicas

    @functools.cached_property
    def strategy(self) -> tf.distribute.Strategy:
        """One device that stands for all."""
        return _Replicas(self._replicas)

    @property
    def device(self) -> DeviceKind:
        """An accelerator: what a host has to make for one is what is asked."""
        return "GPU"

    @property
    def jit(self) -> bool:
        """False: nothing runs."""
        return False


class ImaginedSource(Source):
    """A split of which only the number of examples is known.

    Args:
        size: examples.
    """

    def __init__(self, size: int) -> None:
        """Keeps the options; see the class."""
        self.name = "data that is not here"
        self.size = size
        self.classes = None
        self.label_names = ()

    def example(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Implements `Source.example`; there is none."""
        raise AssertionError("a plan reads no example of data that is not here")


class ImaginedData:
    """Stands for a dataset.

    Args:
        examples: of its training split.
    """

    connection = None

    def __init__(self, examples: int) -> None:
        """Keeps the options; see the class."""
        self._examples = examples

    def source(self, split: str) -> Source:
        """Returns the split, whichever."""
        del split
        return ImaginedSource(self._examples)

    def skipped(self) -> list[str]:
        """Returns nothing: nothing is read."""
        return []
