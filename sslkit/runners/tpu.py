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
        zone: the zone of a named TPU; None asks the environment.
        project: the project of a named TPU; None asks the environment.
        connect_seconds: how long an address may take to answer. TensorFlow itself
            waits for minutes on a dead one, so it is tried first.
    """

    # It takes TF32's switch for its own bfloat16, which what was published used.
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
        """Machines that feed the slice's cores."""
        return self.strategy.extended.num_hosts

    @property
    def device(self) -> DeviceKind:
        """A TPU, and nobody has to connect to know it."""
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
        except Exception as error:  # The resolver raises what its HTTP client raises.
            raise self._unavailable(error) from error
        self._knock(address)
        try:
            if self._name != "local":
                tf.config.experimental_connect_to_cluster(resolver)
            tf.tpu.experimental.initialize_tpu_system(resolver)
        except (tf.errors.OpError, RuntimeError, ValueError) as error:
            raise self._unavailable(error) from error
        return tf.distribute.TPUStrategy(resolver)

    def _knock(self, address: str) -> None:
        """Opens the TPU's port once, because a dead address hangs the runtime."""
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
