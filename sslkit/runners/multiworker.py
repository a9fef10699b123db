"""Several machines, one process on each."""

from __future__ import annotations

import functools
import json
import os
import socket
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import tensorflow as tf
from tensorflow.python.distribute import collective_all_reduce_strategy as collective

from sslkit.api import PositiveFloat, Runner, UserError, checked
from sslkit.errors import first_line
from sslkit.runners import gpus

_COMMUNICATION = {
    "auto": tf.distribute.experimental.CommunicationImplementation.AUTO,
    "ring": tf.distribute.experimental.CommunicationImplementation.RING,
    "nccl": tf.distribute.experimental.CommunicationImplementation.NCCL,
}
_RETRY_SECONDS = 0.2
# A process that does not answer three times in a row has ended: known after 25 s.
_HEALTH_EVERY_SECONDS = 10
_HEALTH_WAIT_SECONDS = 5


class _Cluster(NamedTuple):
    """The addresses of all processes, and the place of this process."""

    workers: tuple[str, ...]
    place: int


class MultiWorker(Runner):
    """Runs one replica on each GPU of several processes, or one on the CPU of each.

    Every process runs the same command with the same recipe; only `index` differs. The
    workdir must be on a disk that all of them share: the first process, the chief,
    writes it, and all of them resume from it.

    Args:
        workers: `host:port` of every process, in the same order for all. With None,
            they and the index are read from the environment variable TF_CONFIG.
        index: this process's place among `workers`.
        communication: `ring` (gRPC), `nccl` (GPUs), or `auto` for TensorFlow's choice.
        wait_seconds: how long the others may take to start.
        memory_growth: whether memory of the GPUs is taken as it is needed, so that
            other processes can use them, too; if not, nearly all of it is taken at
            once.
    """

    @checked
    def __init__(
        self,
        *,
        workers: Sequence[str] | None = None,
        index: int | None = None,
        communication: Literal["auto", "ring", "nccl"] = "auto",
        wait_seconds: PositiveFloat = 300.0,
        memory_growth: bool = True,
    ):
        """Keeps the options; see the class."""
        self._workers = workers
        self._index = index
        self._communication = communication
        self._wait_seconds = wait_seconds
        self._memory_growth = memory_growth

    @property
    def is_chief(self) -> bool:
        """Whether this is the first process."""
        return self._cluster.place == 0

    @property
    def hosts(self) -> int:
        """The number of processes."""
        return len(self._cluster.workers)

    @functools.cached_property
    def strategy(self) -> tf.distribute.Strategy:
        """Waits for the others and connects to them."""
        cluster = self._cluster
        gpus.claim(gpus.there(), memory_growth=self._memory_growth)
        _meet(cluster, self._wait_seconds)
        # TensorFlow waits for the first collective without a public time limit, and a
        # process that has just answered may have ended since.
        collective.CollectiveAllReduceExtended._check_health_initial_timeout = (
            self._wait_seconds
        )
        # A process that is killed closes its connections, so the others know at once. A
        # machine that fails closes nothing; with TensorFlow's defaults it would take a
        # minute to notice.
        collective.CollectiveAllReduceExtended._check_health_interval = (
            _HEALTH_EVERY_SECONDS
        )
        collective.CollectiveAllReduceExtended._check_health_timeout = (
            _HEALTH_WAIT_SECONDS
        )
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": list(cluster.workers)}),
            task_type="worker",
            task_id=cluster.place,
            rpc_layer="grpc",
        )
        options = tf.distribute.experimental.CommunicationOptions(
            implementation=_COMMUNICATION[self._communication]
        )
        try:
            strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver, options)
        except (RuntimeError, ValueError, tf.errors.OpError) as error:
            raise UserError(
                f"runner multiworker: {len(cluster.workers)} processes cannot be "
                f"connected ({first_line(error)}). Start all of them again."
            ) from error
        # All batches are complete. Checking for partial ones would cost a collective
        # per step, and the number of rows would not be static.
        strategy.extended.experimental_enable_get_next_as_optional = False
        return strategy

    @functools.cached_property
    def _cluster(self) -> _Cluster:
        if self._workers is None:
            cluster = _from_environment(os.environ.get("TF_CONFIG"))
        elif self._index is None:
            raise UserError(
                "runner multiworker: workers is bound and index is not. Give each "
                "process its place in the list: --set 'runners.multiworker.index = 0'."
            )
        else:
            cluster = _Cluster(tuple(self._workers), self._index)
        for number, address in enumerate(cluster.workers):
            host, _, port = str(address).rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 65536:
                raise UserError(
                    f"runner multiworker: worker {number} is {address!r}; an address "
                    "is host:port, such as '10.0.0.1:2222'."
                )
        if not 0 <= cluster.place < len(cluster.workers):
            raise UserError(
                f"runner multiworker: this is process {cluster.place} of "
                f"{len(cluster.workers)}; places are counted from 0."
            )
        return cluster


def _from_environment(text: str | None) -> _Cluster:
    """Reads the variable TF_CONFIG; a chief, if there is one, comes first."""
    if not text:
        raise UserError(
            "runner multiworker: the processes of the run are not configured. Set "
            "TF_CONFIG, or bind runners.multiworker.workers = ['host:port', ...] and "
            "runners.multiworker.index."
        )
    try:
        config: Any = json.loads(text)
        chiefs = list(config["cluster"].get("chief", []))
        workers = list(config["cluster"].get("worker", []))
        kind, index = config["task"]["type"], int(config["task"]["index"])
        start = {"chief": 0, "worker": len(chiefs)}[kind]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"runner multiworker: TF_CONFIG is {text[:80]!r}; it looks like "
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", '
            '"index": 0}}, with "chief" as a second type.'
        ) from error
    return _Cluster((*chiefs, *workers), start + index)


def _meet(cluster: _Cluster, seconds: float) -> None:
    """Waits until every process answers at its address.

    TensorFlow opens this process's port only when it connects, and then waits for the
    others without a limit. So the port is opened here until all have answered; a
    process that connects later reaches TensorFlow's port.

    Raises:
        UserError: naming the processes that did not answer in time.
    """
    own = cluster.workers[cluster.place]
    try:
        server = socket.create_server(("", int(own.rpartition(":")[2])))
    except OSError as error:
        raise UserError(
            f"runner multiworker: this is process {cluster.place}, and its port cannot "
            f"be opened: {own} ({error.strerror}). Is another run using it?"
        ) from error
    with server:
        missing = set(cluster.workers) - {own}
        deadline = time.monotonic() + seconds
        while missing:
            missing = {address for address in missing if not _answers(address)}
            if missing and time.monotonic() > deadline:
                raise UserError(
                    f"runner multiworker: {', '.join(sorted(missing))} did not answer "
                    f"within {seconds:g} s. Start the same command on every machine, "
                    "and allow their ports in the firewall."
                )
            if missing:
                time.sleep(_RETRY_SECONDS)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=2.0).close()
    except OSError:
        return False
    return True
