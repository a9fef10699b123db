"""The new_thing runner."""

from __future__ import annotations

import functools

import tensorflow as tf

from sslkit.api import Runner, checked


class NewThing(Runner):
    """Runs on one device, which is given by its name.

    To be changed: where the step runs.

    Args:
        device: a TensorFlow device, such as `CPU:0`.
    """

    @checked
    def __init__(self, *, device: str = "CPU:0") -> None:
        """Keeps the options; nothing is connected yet."""
        self._device = device

    @functools.cached_property
    def strategy(self) -> tf.distribute.Strategy:
        """The strategy whose scope holds all variables; the same one each time."""
        return tf.distribute.OneDeviceStrategy(self._device)
