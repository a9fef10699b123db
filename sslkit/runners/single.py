"""One device."""

from __future__ import annotations

import functools

import tensorflow as tf

from sslkit.api import Runner, UserError, checked
from sslkit.runners import gpus


class Single(Runner):
    """Runs on one GPU, or on the CPU if there is none.

    The process does not use other GPUs of the machine.

    Args:
        device: `auto`, or a TensorFlow device such as `CPU:0` or `GPU:1`.
        jit: whether XLA compiles the step. With None it is compiled on a GPU, and not
            on a CPU, where graph mode is faster.
        memory_growth: whether memory of the GPU is taken as it is needed, so that other
            processes, such as `sslkit evaluate --follow`, can use it, too. If not,
            nearly all of it is taken at once.
    """

    jit_option = "runners.single.jit = False"

    @checked
    def __init__(
        self,
        *,
        device: str = "auto",
        jit: bool | None = None,
        memory_growth: bool = True,
    ):
        """Keeps the options; see the class."""
        self._device = device
        self._jit = jit
        self._memory_growth = memory_growth

    @functools.cached_property
    def _asked(self) -> str:
        """The configured device, by its name on this machine."""
        there = gpus.there()
        asked = self._device.upper()
        if asked == "AUTO":
            return there[0] if there else "CPU:0"
        if asked in there or asked == "CPU:0":
            return asked
        cpus = ["CPU:0"]
        if asked.startswith("CPU:"):
            # A CPU may be split into several, which is known only when TensorFlow
            # starts.
            gpus.hide()
            logical = tf.config.list_logical_devices("CPU")
            cpus = [f"CPU:{index}" for index, _ in enumerate(logical)]
            if asked in cpus:
                return asked
        raise UserError(
            f"runner single: this machine does not have the device {self._device!r}. "
            f"Devices: {', '.join([*cpus, *there])}."
        )

    @functools.cached_property
    def strategy(self) -> tf.distribute.Strategy:
        """A one-device strategy."""
        chosen = [self._asked] if self._asked.startswith("GPU") else []
        claimed = gpus.claim(chosen, memory_growth=self._memory_growth)
        return tf.distribute.OneDeviceStrategy(claimed[0] if claimed else self._asked)

    @property
    def jit(self) -> bool:
        """Whether XLA compiles the step."""
        return self._asked.startswith("GPU") if self._jit is None else self._jit
