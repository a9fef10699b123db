"""Devices that can be rented, with the numbers of their makers, and this machine's."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

import tensorflow as tf


class Device(NamedTuple):
    """The part of a device that one replica runs on."""

    name: str
    flops: float
    """Peak operations per second for networks in float32, at the precision that the
    device uses for them: bfloat16 on TPUs, TensorFloat-32 on GPUs, float32 on CPUs."""
    flops_bfloat16: float
    """Peak operations per second for networks in bfloat16."""
    memory: float
    """Bytes."""
    per_host: int
    """Replicas per host."""
    utilisation: float
    """Share of the peak that training is expected to reach, by default."""
    flops_without_tf32: float | None = None
    """As `flops`, with TensorFloat-32 off; None for devices without TensorFloat-32."""


PUBLISHED_UTILISATION = 0.15
"""SimCLR (arXiv:2002.05709, section 2.2: batch 4096, 100 epochs, 1.5 hours on 128 TPU
v3 cores, 6 hours on 32) reaches 15% of the peak, when operations are counted as here. A
GPU that never waits for its host reaches more; this is the cautious number."""

_CPU_UTILISATION = 0.75
_GIB = 2.0**30

RENTED = (
    # TPU v3: a chip has two cores, 123 TFLOP/s and 32 GiB; a host has four chips.
    Device("TPU v3 core", 61.5e12, 61.5e12, 16 * _GIB, 8, PUBLISHED_UTILISATION),
    Device("TPU v4 chip", 275e12, 275e12, 32 * _GIB, 4, PUBLISHED_UTILISATION),
    Device("TPU v5e chip", 197e12, 197e12, 16 * _GIB, 8, PUBLISHED_UTILISATION),
    Device("A100 80 GB", 156e12, 312e12, 80e9, 8, PUBLISHED_UTILISATION, 19.5e12),
    Device("H100 80 GB", 495e12, 989e12, 80e9, 8, PUBLISHED_UTILISATION, 67e12),
)


def this_cpu(*, seconds: float = 1.0) -> Device:
    """Measures the matrix products of this machine's cores, in operations per second.

    Args:
        seconds: how long to measure each of the two precisions.
    """
    return Device(
        "this CPU",
        _matrix_flops(tf.float32, seconds),
        _matrix_flops(tf.bfloat16, seconds),
        _memory(),
        1,
        _CPU_UTILISATION,
    )


def _matrix_flops(dtype: tf.DType, seconds: float) -> float:
    side = 1024
    with tf.device("CPU:0"):
        a = tf.cast(tf.random.stateless_normal([side, side], [0, 1]), dtype)
        float(tf.cast((a @ a)[0, 0], tf.float32))
        best, start = 0.0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            began = time.perf_counter()
            float(tf.cast((a @ a)[0, 0], tf.float32))
            best = max(best, 2.0 * side**3 / (time.perf_counter() - began))
    return best


def _memory() -> float:
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
