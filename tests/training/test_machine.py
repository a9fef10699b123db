"""Measures of a run's use of its machine."""

from __future__ import annotations

import os
import time

import pytest
import tensorflow as tf

from sslkit.training.actions import Moment
from sslkit.training.machine import Machine, device_memory, host_memory


def machine():
    return Machine(2, 64, tf.distribute.OneDeviceStrategy("CPU:0"))


def found(action, step):
    moment = Moment(step)
    action.run(moment)
    assert moment.metrics == {}
    return moment.machine


def test_rates_leave_out_the_first_call_which_compiles():
    action = machine()
    action.took(0, 0.0)
    assert "views_per_second" not in found(action, 1)
    action.took(2, 1.0)
    action.took(2, 3.0)
    assert found(action, 4)["views_per_second"] == 64 * 4 / 4.0
    # A second report in the same call has the same numbers.
    assert found(action, 5)["views_per_second"] == 64 * 4 / 4.0


def test_says_memory_and_device():
    said = found(machine(), 1)
    assert said["device"] == "CPU"
    assert said["host_memory_bytes"] > 50e6  # TensorFlow is in it
    assert "device_memory_bytes" not in said  # only GPUs report it


def test_counts_the_seconds_that_batches_are_waited_for():
    action = machine()
    batches = action.timing(iter(tf.data.Dataset.range(8).map(slow)))

    @tf.function
    def take(batches, inner):
        total = tf.constant(0, tf.int64)
        for _ in tf.range(inner):
            total += next(batches)
        return total

    assert int(take(batches, tf.constant(1))) == 0
    action.took(0, 0.0)
    assert int(take(batches, tf.constant(3))) == 1 + 2 + 3
    action.took(3, 1.0)
    waited = found(action, 4)["data_wait_seconds"]
    assert 0.03 <= waited < 30
    # Each report counts separately.
    action.took(1, 1.0)
    assert found(action, 5)["data_wait_seconds"] == 0.0
    assert int(take(batches, tf.constant(2))) == 4 + 5


def slow(value):
    made = tf.numpy_function(twenty_milliseconds, [value], tf.int64)
    return tf.ensure_shape(made, [])


def twenty_milliseconds(value):
    # As a slow disk takes them.
    time.sleep(0.02)
    return value


def test_memory_of_a_gpu_is_asked_of_tensorflow(monkeypatch):
    asked = []

    def info(device):
        asked.append(device)
        return {"current": 5, "peak": 9}

    monkeypatch.setattr(tf.config.experimental, "get_memory_info", info)
    assert device_memory("/device:GPU:1") == {"current": 5, "peak": 9}
    assert device_memory("/device:CPU:0") is None
    assert asked == ["GPU:1"]


def test_the_memory_of_this_process_is_its_resident_set():
    with open(f"/proc/{os.getpid()}/status") as file:
        line = next(line for line in file if line.startswith("VmRSS"))
    assert host_memory() == pytest.approx(int(line.split()[1]) * 1024, rel=0.2)
