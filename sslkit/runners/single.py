"""One device."""

from __future__ import annotations

import functools

import tensorflow as tf

from sslkit.api import Runner, UserError, checked


class Single(Runner):
    """Runs on one GPU, or on the CPU where there is none.

    Args:
        device: `auto`, or a TensorFlow device such as `CPU:0` or `GPU:1`.
        jit: whether XLA compiles the step; None compiles on a GPU and not on a CPU,
            where graph mode is the faster of the two.
    """

    @checked
    def __init__(self, *, device: str = "auto", jit: bool | None = None):
        """Keeps the options; see the class."""
        self._device = device
        self._jit = jit

    @functools.cached_property
    def _chosen(self) -> str:
        devices = [
            f"{d.device_type}:{d.name.rpartition(':')[2]}"
            for d in tf.config.list_logical_devices()
            if d.device_type in ("CPU", "GPU")
        ]
        if self._device == "auto":
            gpus = [name for name in devices if name.startswith("GPU")]
            return gpus[0] if gpus else "CPU:0"
        if self._device.upper() not in devices:
            raise UserError(
                f"runner single: there is no device {self._device!r} here. "
                f"Devices: {', '.join(devices)}."
            )
        return self._device.upper()

    @functools.cached_property
    def strategy(self) -> tf.distribute.Strategy:
        """A one-device strategy."""
        return tf.distribute.OneDeviceStrategy(self._chosen)

    @property
    def jit(self) -> bool:
        """Whether XLA compiles the step."""
        return self._chosen.startswith("GPU") if self._jit is None else self._jit
