"""A TPU slice."""

from __future__ import annotations

import functools
import socket

import tensorflow as tf

from sslkit.api import DeviceKind, PositiveFloat, Runner, UserError, checked
from sslkit.errors import first_line


class TPU(Runner):
    """Runs one replica on each core of a TPU.

    Args:
        name: `local` on a TPU VM; otherwise the name of the TPU in Google Cloud, or a
            `grpc://host:port` address.
        zone: the zone of a named TPU; None to read it from the environment.
        project: the project of a named TPU; None to read it from the environment.
        connect_seconds: how long an address may take to answer. TensorFlow itself would
            wait for minutes if it does not, so the address is tried first.
    """

    # On a TPU, TF32's switch turns on bfloat16 products, which published results used.
    obeys_tf32 = False

    @checked
    def __init__(
        self,
        *,
        name: str = "local",
        zone: str | None = None,
        project: str | None = None,
        connect_seconds: PositiveFloat = 10.0,
    ):
        """Keeps the options; see the class."""
        self._name = name
        self._zone = zone
        self._project = project
        self._connect_seconds = connect_seconds

    @property
    def hosts(self) -> int:
        """The number of machines whose input pipelines feed the slice's cores."""
        return self.strategy.extended.num_hosts

    @property
    def device(self) -> DeviceKind:
        """A TPU, which is known without connecting."""
        return "TPU"

    @property
    def jit(self) -> bool:
        """False: TPUStrategy compiles every step by itself."""
        return False

    @functools.cached_property
    def strategy(self) -> tf.distribute.Strategy:
        """Connects, starts the TPU system and returns its strategy."""
        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
                tpu=self._name, zone=self._zone, project=self._project
            )
            address = resolver.master()
        except Exception as error:  # The resolver raises the errors of its HTTP client.
            raise self._unavailable(error) from error
        self._reach(address)
        try:
            if self._name != "local":
                tf.config.experimental_connect_to_cluster(resolver)
            tf.tpu.experimental.initialize_tpu_system(resolver)
        except (tf.errors.OpError, RuntimeError, ValueError) as error:
            raise self._unavailable(error) from error
        return tf.distribute.TPUStrategy(resolver)

    def _reach(self, address: str) -> None:
        """Connects to the TPU's port once; without an answer the runtime would hang."""
        place = address.removeprefix("grpc://")
        host, _, port = place.rpartition(":")
        if not host or not port.isdigit():
            return
        try:
            socket.create_connection((host, int(port)), self._connect_seconds).close()
        except OSError as error:
            raise UserError(
                f"runner tpu: nothing answers at {place} within "
                f"{self._connect_seconds:g} s ({error}). Is the TPU running, and are "
                "runners.tpu.name, zone and project right?"
            ) from error

    def _unavailable(self, error: Exception) -> UserError:
        return UserError(
            f"runner tpu: no TPU called {self._name!r} can be used from here "
            f"({first_line(error)}). To run without one: --set "
            "'train.runner = @runners.single()'."
        )
