"""A fake TPU slice: TensorFlow's TPUStrategy over logical CPUs.

The strategy's code is the real one: it makes the variables, distributes the input and
rewrites the step for the cores. The result can be examined but not run, because no
device here executes it.
"""

from __future__ import annotations

import collections

import numpy as np
import tensorflow as tf
from tensorflow.python.tpu.tpu_system_metadata import TPUSystemMetadata


class _Device:
    def __init__(self, name: str):
        self.name = name


class _Resolver:
    """Reports a given number of hosts and cores per host."""

    tpu_hardware_feature = None

    def __init__(self, hosts: int, cores: int):
        self._hosts, self._cores = hosts, cores

    def get_tpu_system_metadata(self) -> TPUSystemMetadata:
        cores = self._hosts * self._cores
        place = "/job:localhost/replica:0/task:0/device:TPU"
        return TPUSystemMetadata(
            num_cores=cores,
            num_hosts=self._hosts,
            num_of_cores_per_host=self._cores,
            topology=None,
            devices=[_Device(f"{place}:{core}") for core in range(cores)],
        )


def fake_slice(*, hosts: int, cores: int) -> tf.distribute.TPUStrategy:
    """Returns a strategy of `hosts * cores` logical CPUs, the first of each a host."""
    strategy = tf.distribute.TPUStrategy(_Resolver(hosts, cores))
    place = "/job:localhost/replica:0/task:0/device:CPU"
    names = [f"{place}:{number}" for number in range(hosts * cores)]
    groups = [names[host * cores : (host + 1) * cores] for host in range(hosts)]
    extended = strategy.extended
    extended._tpu_devices = np.array([[name] for name in names], dtype=object)
    extended._host_device = names[0]
    extended._device_input_worker_devices = collections.OrderedDict(
        (group[0], group) for group in groups
    )
    extended._host_input_worker_devices = collections.OrderedDict(
        (group[0], [group[0]] * cores) for group in groups
    )
    return strategy
