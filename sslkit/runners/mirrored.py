"""Several devices of one machine."""

from __future__ import annotations

import functools

import tensorflow as tf

from sslkit.api import PositiveInt, Runner, UserError, checked
from sslkit.runners import gpus


class Mirrored(Runner):
    """Runs one replica on each GPU, or on each of several logical CPUs.

    Logical CPUs share the cores of the machine: they are not faster, but show that a
    recipe computes the same on several replicas.

    Args:
        replicas: how many; None for all GPUs. Needed if there is no GPU.
        memory_growth: whether memory of the GPUs is taken as it is needed; see
            `Single`.
    """

    @checked
    def __init__(
        self, *, replicas: PositiveInt | None = None, memory_growth: bool = True
    ):
        """Keeps the options; see the class."""
        self._replicas = replicas
        self._memory_growth = memory_growth

    @functools.cached_property
    def strategy(self) -> tf.distribute.Strategy:
        """A mirrored strategy over the devices."""
        there = gpus.there()
        if not there:
            return self._on_cpus()
        replicas = self._replicas or len(there)
        if replicas > len(there):
            raise UserError(
                f"runner mirrored: {replicas} replicas are configured and this machine "
                f"has {len(there)} GPU(s). Set runners.mirrored.replicas to at most "
                "that."
            )
        return tf.distribute.MirroredStrategy(
            gpus.claim(there[:replicas], memory_growth=self._memory_growth)
        )

    def _on_cpus(self) -> tf.distribute.Strategy:
        if self._replicas is None:
            raise UserError(
                "runner mirrored: there is no GPU here. Use train.runner = "
                "@runners.single(), or set runners.mirrored.replicas to run on that "
                "many logical CPUs."
            )
        split_cpu(self._replicas)
        return strategy_of_cpus(self._replicas)


def split_cpu(replicas: int) -> None:
    """Splits the CPU into logical devices, unless it is split already.

    Args:
        replicas: how many are needed.

    Raises:
        UserError: if TensorFlow started before, or the CPU was split into fewer.
    """
    cpu = tf.config.list_physical_devices("CPU")[0]
    if not tf.config.get_logical_device_configuration(cpu):
        try:
            tf.config.set_logical_device_configuration(
                cpu, [tf.config.LogicalDeviceConfiguration()] * replicas
            )
        except RuntimeError as error:
            raise UserError(
                "runner mirrored: TensorFlow started before the CPU could be split "
                "into replicas; make the runner first."
            ) from error
    present = len(tf.config.list_logical_devices("CPU"))
    if present < replicas:
        raise UserError(
            f"runner mirrored: {replicas} replicas are configured and this process has "
            f"{present} logical CPU(s). Start a new process."
        )


def strategy_of_cpus(replicas: int) -> tf.distribute.Strategy:
    """Returns a mirrored strategy over the first logical CPUs."""
    # Logical CPUs share one memory: reducing on one of them needs no collective, adds
    # in a fixed order, and does not disturb other strategies of the process (whose
    # collectives would use the same group numbers).
    return tf.distribute.MirroredStrategy(
        [f"CPU:{i}" for i in range(replicas)],
        cross_device_ops=tf.distribute.ReductionToOneDevice("CPU:0"),
    )
