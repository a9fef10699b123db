"""Several replicas on one CPU, to test results on more than one replica."""

from __future__ import annotations

import contextlib
import functools

import tensorflow as tf

from sslkit.api import UserError
from sslkit.runners.mirrored import split_cpu, strategy_of_cpus

REPLICAS = (1, 2, 4)
"""The numbers of replicas that laws compare."""


def prepare() -> None:
    """Splits the CPU for the laws, if TensorFlow has not started yet."""
    with contextlib.suppress(UserError):
        split_cpu(max(REPLICAS))


@functools.cache
def strategy(replicas: int) -> tf.distribute.Strategy:
    """Returns a strategy for a number of logical CPUs, always the same object.

    Raises:
        RuntimeError: if TensorFlow started before the CPU could be split, which is not
            an error of the plugin.
    """
    try:
        split_cpu(max(REPLICAS))
    except UserError as error:
        raise RuntimeError(
            "the laws compare up to 4 replicas, and this process has fewer logical "
            "CPUs. Call sslkit.testing.split_cpu(4) in conftest.py, before anything "
            "runs in TensorFlow."
        ) from error
    if replicas == 1:
        return tf.distribute.OneDeviceStrategy("CPU:0")
    return strategy_of_cpus(replicas)
