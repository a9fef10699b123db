"""The contract of runners, which provide the devices of a run."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import config

from sslkit.replica import DeviceKind, kind_of_devices

__all__ = ["Runner"]


class Runner(abc.ABC):
    """The devices and processes on which a step runs."""

    jit_option: str | None = None
    """The binding that turns XLA off, for messages: `runners.single.jit = False`."""
    obeys_tf32: bool = True
    """Whether TensorFlow's switch for TF32 means TF32 on its devices, so that
    `train.tf32` may turn it off. If not, the switch stays on. It is known before
    connecting."""

    @property
    @abc.abstractmethod
    def strategy(self) -> tf.distribute.Strategy:
        """The strategy in whose scope variables are made; connects at first use."""

    @property
    def is_chief(self) -> bool:
        """Whether this process writes checkpoints, metrics and exports."""
        return True

    @property
    def hosts(self) -> int:
        """The number of machines, or processes, whose devices are used."""
        return 1

    @property
    def device(self) -> DeviceKind:
        """The kind of device of all replicas."""
        return kind_of_devices(self.strategy.extended.worker_devices)

    @property
    def jit(self) -> bool:
        """Whether XLA compiles the replica step as one cluster."""
        return False

    def iterate(
        self, make: Callable[[tf.distribute.InputContext], tf.data.Dataset]
    ) -> Iterator[Any]:
        """Returns a distributed iterator; `make` builds one pipeline per host.

        Consecutive elements of a host's pipeline go to its replicas in order. The next
        two are copied to the devices in advance.
        """
        ahead = tf.distribute.InputOptions(experimental_per_replica_buffer_size=2)
        return iter(self.strategy.distribute_datasets_from_function(make, ahead))

    def compile(
        self, step: Callable[[Any], dict[str, tf.Tensor]], metrics: Sequence[str]
    ) -> Callable[[Iterator[Any], tf.Tensor], tf.Tensor]:
        """Makes a function of (iterator, inner steps) from a replica step.

        Args:
            step: one element of the iterator -> metrics, equal on all replicas.
            metrics: the names it returns.

        Returns:
            A compiled function that runs `inner` steps in one loop, without the host,
            and returns each step's metrics, float32 [inner, metrics].
        """
        strategy = self.strategy

        def row(element: Any) -> tf.Tensor:
            out = step(element)
            return tf.stack([out[name] for name in metrics])

        if self.jit:
            row.__name__ = f"step{_settings()}"
        replica_step = tf.function(row, jit_compile=True) if self.jit else row

        @tf.function
        def loop(iterator: Iterator[Any], inner: tf.Tensor) -> tf.Tensor:
            rows = tf.TensorArray(tf.float32, inner, element_shape=[len(metrics)])
            for place in tf.range(inner):
                out = strategy.run(replica_step, args=(next(iterator),))
                first = strategy.experimental_local_results(out)[0]
                rows = rows.write(place, first)
            return rows.stack()

        return loop


def _settings() -> str:
    """Names the settings that change an XLA program but are not part of its graph.

    A program in the cache on disk is found by its name, among others.
    """
    return "_deterministic" if config.is_op_determinism_enabled() else ""
