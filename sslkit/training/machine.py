"""Measures of a run's use of its machine: speed, waiting, memory, device."""

from __future__ import annotations

import os
import resource
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import config

from sslkit.reporter import Setting
from sslkit.training.actions import Action, Moment


class Machine(Action):
    """Measures speed and memory between two reports.

    The measures are `views_per_second`; `data_wait_seconds`, the time spent waiting for
    batches (with several steps in one call some of it overlaps with computation; it is
    not measured on a TPU, nor with deterministic operations); `host_memory_bytes` of
    the process; `device_memory_bytes` and `device_memory_peak_bytes`, each the largest
    of its GPUs; and `device`. The first call to the device compiles, and is not
    counted.

    Attributes:
        waited_share: the share of the time before the last report that was spent
            waiting for batches; None if it is not known.

    Args:
        every: steps between two reports.
        views: views in a global batch.
        strategy: whose devices they are.
    """

    needs_state = False

    def __init__(
        self,
        every: int,
        views: int,
        strategy: tf.distribute.Strategy,
    ):
        """Keeps the options; see the class."""
        self.every = every
        self._views = views
        self._devices = _local_devices(strategy)
        self._name = describe_devices(strategy)
        self._waited: tf.Variable | None = None
        # The operation that reads the clock is not deterministic.
        timed = not config.is_op_determinism_enabled()
        if timed and not isinstance(strategy, tf.distribute.TPUStrategy):
            with tf.device("CPU:0"):
                self._waited = tf.Variable(0.0, trainable=False, dtype=tf.float64)
        self._steps, self._seconds, self._wait = 0, 0.0, 0.0
        self._speed: dict[str, float] = {}
        self.waited_share: float | None = None

    def timing(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Wraps batches, so that the step measures how long it waits for them."""
        return batches if self._waited is None else _Timed(batches, self._waited)

    def took(self, steps: int, seconds: float) -> None:
        """Implements `Action.took`."""
        self._steps += steps
        self._seconds += seconds
        if self._waited is not None:
            # Waiting while the step was compiled is not counted.
            self._wait += float(self._waited.numpy()) if steps else 0.0
            self._waited.assign(0.0)

    def run(self, moment: Moment) -> None:
        """Implements `Action.run`.

        Several reports may fall in one call to the device; they have the same numbers.
        """
        if self._steps and self._seconds > 0:
            self._speed = {
                "views_per_second": self._views * self._steps / self._seconds
            }
            if self._waited is not None:
                self._speed["data_wait_seconds"] = self._wait
                self.waited_share = self._wait / self._seconds
            self._steps, self._seconds, self._wait = 0, 0.0, 0.0
        found: dict[str, Setting] = {"device": self._name, **self._speed}
        found["host_memory_bytes"] = host_memory()
        memory = [device_memory(device) for device in self._devices]
        known = [one for one in memory if one is not None]
        if known:
            found["device_memory_bytes"] = max(one["current"] for one in known)
            found["device_memory_peak_bytes"] = max(one["peak"] for one in known)
        moment.machine |= found


class _Timed:
    """Batches that add up the waiting time for each, in the graph that takes them.

    Args:
        batches: a distributed iterator.
        waited: float64 [], in seconds.
    """

    def __init__(self, batches: Iterator[Any], waited: tf.Variable):
        """Keeps the iterator; see the class."""
        self._batches = batches
        self._waited = waited

    def __iter__(self) -> _Timed:
        """Returns itself."""
        return self

    def __next__(self) -> Any:
        """Takes the next batch."""
        began = tf.timestamp()
        with tf.control_dependencies([began]):
            batch = next(self._batches)
        parts = tf.nest.flatten(batch, expand_composites=True)
        with tf.control_dependencies(parts):
            ended = tf.timestamp()
        self._waited.assign_add(ended - began)
        return batch


def host_memory() -> int:
    """Returns the bytes of memory that this process holds (its resident set)."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        # On systems without this file: the largest that it ever was.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def device_memory(device: str) -> Mapping[str, int] | None:
    """Returns bytes of memory of a device, `current` and `peak`; None if not known."""
    parsed = tf.DeviceSpec.from_string(device)
    if parsed.device_type != "GPU":
        return None
    try:
        return tf.config.experimental.get_memory_info(f"GPU:{parsed.device_index}")
    except (ValueError, tf.errors.OpError):
        return None


def _local_devices(strategy: tf.distribute.Strategy) -> list[str]:
    """Returns the devices of this process that a strategy computes on."""
    here = {device.name for device in tf.config.list_logical_devices()}
    used = [tf.DeviceSpec.from_string(d) for d in strategy.extended.worker_devices]
    short = [f"/device:{spec.device_type}:{spec.device_index}" for spec in used]
    return [name for name in short if name in here] or short


def describe_devices(strategy: tf.distribute.Strategy) -> str:
    """Returns what this process computes on: `2 x NVIDIA A100-SXM4-40GB`, or `CPU`."""
    counted = Counter(map(_title, _local_devices(strategy)))
    return ", ".join(
        name if count == 1 else f"{count} x {name}" for name, count in counted.items()
    )


def _title(device: str) -> str:
    spec = tf.DeviceSpec.from_string(device)
    physical = tf.config.list_physical_devices(spec.device_type)
    # There may be more logical CPUs than physical ones.
    if spec.device_type == "GPU" and spec.device_index < len(physical):
        details = tf.config.experimental.get_device_details(physical[spec.device_index])
        return details.get("device_name", "GPU")
    return str(spec.device_type)
