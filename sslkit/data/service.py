"""Batches that tf.data service makes in other processes, in the order of the run.

The work is distributed by batch: a worker asks the dispatcher which batch is next,
makes all of it, and sends it here. Workers may be of different speed, so batches arrive
in any order; each has its number, and they are put in order here. The content of a
batch depends only on its number. So the number of workers, their speed, and workers
that come or go during a run change neither a batch nor its place.

Every host of a run has a separate stream, with its share of each batch. The hosts share
only the workers.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import queue
import socket
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import cancellation, context, execute

from sslkit.errors import UserError, first_line

__all__ = ["Service"]

_log = logging.getLogger(__name__)

_PROTOCOL = "grpc"
_LOOK_SECONDS = 1.0  # between two checks of a dispatcher that sends nothing
_OF_DATA = (tf.errors.InvalidArgumentError, tf.errors.DataLossError)
_LARGEST = 2**31  # bytes of the largest message; each batch is one message
_AHEAD = 64  # batches that workers may be making ahead of those that have arrived
_FEWEST_HELD = 8

Problem = Callable[[int, int], str | None]
"""(first, last) -> a message about the examples of the batches with these numbers that
cannot be read, or None."""

Make = Callable[[int, int], tf.data.Dataset]
"""(first, last) -> the batches with these numbers. The first component of each is its
number, and the dataset begins with `tf.data.Dataset.range(first, last)`."""


class Service:
    """A dispatcher and its workers, which `sslkit data-service` starts.

    Attributes:
        address: `grpc://host:port` of the dispatcher.
        failure: what went wrong while batches were read, for the user; None so far.
    """

    def __init__(
        self,
        address: str,
        *,
        answer_seconds: float = 10.0,
        patience_seconds: float = 120.0,
        held_bytes: int = 4 * 2**30,
    ) -> None:
        """Keeps the options; nothing is connected.

        Args:
            address: `grpc://host:port` of the dispatcher.
            answer_seconds: how long the dispatcher may take to answer.
            patience_seconds: how long making a batch may take.
            held_bytes: the most memory for batches that arrive before their turn; 8
                batches are allowed in any case.

        Raises:
            UserError: if the address does not have this form.
        """
        protocol, _, place = address.partition("://")
        host, _, port = place.rpartition(":")
        if protocol != _PROTOCOL or not host or not port.isdigit():
            raise UserError(
                f"data.service is {address!r}; it looks like 'grpc://127.0.0.1:5050', "
                "as `sslkit data-service` prints it"
            )
        self.address = address
        self.failure: str | None = None
        self._place = host.strip("[]"), int(port)
        self._answer_seconds = answer_seconds
        self._patience_seconds = patience_seconds
        self._held_bytes = held_bytes

    def reach(self) -> None:
        """Waits until the dispatcher answers. TensorFlow itself would wait for an hour.

        Raises:
            UserError: if it does not answer in time.
        """
        deadline = time.monotonic() + self._answer_seconds
        while (refusal := self._refusal()) is not None:
            if time.monotonic() > deadline:
                raise UserError(
                    f"data.service: nothing answers at {self.address} within "
                    f"{self._answer_seconds:g} s ({refusal}). Start it with `sslkit "
                    "data-service`, or set data.service = None"
                )
            time.sleep(min(0.2, self._answer_seconds))

    def batches(
        self,
        make: Make,
        first: int,
        last: int,
        *,
        problem: Problem,
    ) -> tf.data.Dataset:
        """Returns the batches of `make`, made by the workers, in order.

        Args:
            make: see `Make`. Its graph is sent to the workers, so it must not refer to
                anything of this process; constants and paths of files are fine.
            first: number of the first batch.
            last: the number after the last.
            problem: names what could not be read; see `Problem`.

        Returns:
            The dataset `make(first, last)`. Only this process can run it. If reading
            fails, it ends with an `UnknownError`, and `failure` says why.

        Raises:
            UserError: if nothing answers, or a batch is too large for a message.
        """
        self.failure = None
        reader = _Reader(self, make, first, last, problem)
        spec = reader.spec
        parts = tf.nest.flatten(spec)
        size = _bytes(spec)
        if size >= _LARGEST:
            raise UserError(
                f"data.service: a replica's batch is {size / 2**30:.1f} GiB of views, "
                "and the service can send 2 GiB at most; lower train.batch_size"
            )

        def take(number: tf.Tensor) -> Any:
            # Python handles the order and time limits; pixels stay in TensorFlow.
            values = tf.py_function(reader.take, [number], [p.dtype for p in parts])
            for value, part in zip(values, parts, strict=True):
                value.set_shape(part.shape)
            return tf.nest.pack_sequence_as(spec, values)

        return tf.data.Dataset.range(first, last).map(take)

    def _refusal(self) -> str | None:
        """Returns why the dispatcher does not answer, or None if it does."""
        try:
            socket.create_connection(self._place, timeout=self._answer_seconds).close()
        except OSError as error:
            return first_line(error)
        return None


def _bytes(spec: Any) -> int:
    parts = tf.nest.flatten(spec)
    return sum(part.shape.num_elements() * part.dtype.size for part in parts)


class _Reader:
    """Puts the batches of a service in order.

    If a batch does not arrive, because its worker or the dispatcher has ended, it and
    all later ones are requested once more: the run only pauses.
    """

    def __init__(
        self,
        service: Service,
        make: Make,
        first: int,
        last: int,
        problem: Problem,
    ) -> None:
        self._service = service
        self._make = make
        self._last = last
        self._problem = problem
        self._lock = threading.Lock()
        self._next = first
        self._held: dict[int, list[tf.Tensor]] = {}
        self._most_held = _FEWEST_HELD
        self._close: Callable[[], object] = lambda: None
        self._open(first)

    def take(self, number: tf.Tensor) -> list[tf.Tensor]:
        """Returns the parts of a batch; waits until it is there."""
        with self._lock:
            # A pipeline requests the next batch even after an error.
            if self._service.failure is not None:
                raise UserError(self._service.failure)
            try:
                return self._take(int(number))
            except UserError as error:
                self._service.failure = str(error)
                raise

    def _take(self, wanted: int) -> list[tf.Tensor]:
        if wanted != self._next:
            self._open(wanted)
        asked_again = False
        while (trouble := self._wait(wanted)) is not None:
            if asked_again or isinstance(trouble, _OF_DATA):
                raise UserError(self._explain(trouble, wanted))
            asked_again = True
            self._open(wanted)
            _log.warning("data.service: batch %d was requested once more", wanted)
        self._next = wanted + 1
        return self._held.pop(wanted)

    def _open(self, first: int) -> None:
        self._service.reach()
        self._close()
        self._next = first
        self._held = {}
        made = self._make(first, self._last)
        self.spec = made.element_spec
        size = _bytes(self.spec)
        self._most_held = max(_FEWEST_HELD, self._service._held_bytes // max(size, 1))
        stream = _Stream(made, self._service.address)
        self._arrived = stream.arrived
        # Also when Python ends: otherwise it would wait for TensorFlow, which waits for
        # a service that has ended.
        self._close = weakref.finalize(self, stream.stop)

    def _wait(self, wanted: int) -> Exception | str | None:
        """Reads on until a batch has arrived; returns what went wrong, or None."""
        patience = time.monotonic() + self._service._patience_seconds
        while wanted not in self._held:
            try:
                arrived = self._arrived.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                if self._service._refusal() is not None:
                    return "nothing answers there any more"
                if time.monotonic() > patience:
                    return (
                        f"no batch arrived within {self._service._patience_seconds:g} "
                        "s; is a worker running?"
                    )
                continue
            if isinstance(arrived, Exception):
                return arrived
            if arrived is None:
                return f"batch {wanted} did not arrive"
            parts = tf.nest.flatten(arrived)
            number = int(parts[0])
            if number != wanted and len(self._held) >= self._most_held:
                # Its worker is slow or stuck. When it is requested again, the first
                # free worker makes it.
                return (
                    f"{len(self._held)} batches arrived before batch {wanted}; a "
                    "worker is far slower than the others"
                )
            self._held[number] = parts
        return None

    def _explain(self, trouble: Exception | str, wanted: int) -> str:
        said = None
        if isinstance(trouble, Exception):
            ahead = max(self._held, default=wanted) + _AHEAD
            said = self._problem(wanted, min(ahead, self._last))
        if said is not None:
            return said
        if isinstance(trouble, tf.errors.OpError):
            trouble = (
                f"{first_line(trouble)}; its workers need the "
                "files of the data under the same paths"
            )
        return f"the data service at {self._service.address} failed: {trouble}"


class _Stream:
    """The elements from a service, read by a thread so that waiting can be limited."""

    def __init__(self, dataset: tf.data.Dataset, address: str) -> None:
        self.arrived: queue.Queue[Any] = queue.Queue(maxsize=1)
        """The elements; after them None, or the error that ended them."""
        self._stopped = threading.Event()
        self._cancellation = cancellation.CancellationManager()
        self._thread = threading.Thread(
            target=self._run, args=[dataset, address], daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, even if it waits for a service that has ended."""
        self._stopped.set()
        self._cancellation.start_cancel()
        with contextlib.suppress(queue.Empty):
            self.arrived.get_nowait()
        # The iterator may be garbage-collected in any thread.
        if threading.current_thread() is not self._thread:
            self._thread.join(_LOOK_SECONDS)

    def _run(self, dataset: tf.data.Dataset, address: str) -> None:
        last = None
        service = tf.data.experimental.service
        try:
            # Workers request batches and get them in order, each only once. Without a
            # name, the stream is not shared. Pixels hardly compress, so compression
            # would only cost time.
            elements = iter(
                dataset.apply(
                    service.distribute(
                        service.ShardingPolicy.DYNAMIC, address, compression=None
                    )
                )
            )
            # It is a function, because only calls of functions can be cancelled.
            following = tf.function(lambda: next(elements)).get_concrete_function()
            while self._put(self._cancellable(following)):
                pass
        except tf.errors.OutOfRangeError:
            pass
        except Exception as error:
            last = error
        self._put(last)

    def _cancellable(self, function: Any) -> list[tf.Tensor]:
        """Calls a concrete function without arguments; `stop` ends it.

        `CancellationManagerContext` would affect all threads of the process, so the
        training step or an encoder in another thread would be cancelled, too.
        """
        here = context.context()
        attributes = here.function_call_options.as_attrs().items()
        return execute.execute_with_cancellation(
            function.name.decode(),
            num_outputs=len(function.outputs),
            inputs=function.captured_inputs,
            attrs=tuple(itertools.chain.from_iterable(attributes)),
            ctx=here,
            cancellation_manager=self._cancellation,
        )

    def _put(self, element: Any) -> bool:
        while not self._stopped.is_set():
            try:
                self.arrived.put(element, timeout=_LOOK_SECONDS)
                return True
            except queue.Full:
                continue
        return False
