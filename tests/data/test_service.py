"""Batches made by real processes equal those made here, in the same order."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import queue
import re
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import cancellation

from sslkit.api import Augmentation, ViewGroup
from sslkit.cli.main import main
from sslkit.data import Source, data, training_batches
from sslkit.data.service import Service
from sslkit.errors import UserError


class Numbers(Source):
    """Example i is one pixel of colour i."""

    name = "numbers"
    classes = None
    label_names = ()
    size = 10

    def example(self, index):
        return tf.fill([1, 1, 3], tf.cast(index, tf.uint8)), tf.constant(-1)


class Noise(Augmentation):
    """Two views drawn from the seed, over the image."""

    groups = {"noise": ViewGroup(2, 4)}  # noqa: RUF012

    def example(self, image, seed):
        noise = tf.random.stateless_uniform(
            [2, 4, 4, 3], seed, maxval=200, dtype=tf.int32
        )
        return {"noise": tf.cast(noise, tf.uint8) + image[:1, :1]}


def batches(service=None, *, source=None, start=0, stop=12, hosts=1, host=0):
    return training_batches(
        source or Numbers(),
        Noise(),
        seed=3,
        batch_size=8,
        start_step=start,
        stop_step=stop,
        context=tf.distribute.InputContext(hosts, host, 2 * hosts),
        service=service,
    )


def assert_same(found, wanted):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def read(dataset):
    return list(dataset.as_numpy_iterator())


def start(*arguments):
    """Starts `sslkit data-service`."""
    return subprocess.Popen(
        [sys.executable, "-m", "sslkit", "data-service", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )


def announced(process):
    """Returns the address in the line that a process writes when it is ready."""
    return re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())[0]


def end(process):
    process.kill()
    process.wait()
    process.stdout.close()


@contextlib.contextmanager
def command(*arguments):
    """Runs `sslkit data-service`; gives the process and the address it announces."""
    process = start(*arguments)
    try:
        yield process, announced(process)
    finally:
        end(process)


@pytest.fixture(scope="module")
def processes():
    """A dispatcher's address and two workers: three processes."""
    with command("--dispatcher") as (_, address):
        workers = [start("--worker", address) for _ in range(2)]
        try:
            for worker in workers:
                announced(worker)
            yield f"grpc://{address}", workers
        finally:
            for worker in workers:
                end(worker)


@pytest.fixture
def dispatcher(processes):
    """The address."""
    return processes[0]


@pytest.mark.slow
def test_same_batches_in_the_same_order(dispatcher):
    assert_same(read(batches(Service(dispatcher))), read(batches()))


@pytest.mark.slow
def test_goes_on_from_the_middle(dispatcher):
    whole = read(batches())
    assert_same(read(batches(Service(dispatcher), start=5)), whole[10:])


@pytest.mark.slow
def test_a_run_left_in_the_middle_is_taken_up_again(dispatcher):
    """One dataset iterated twice, as a run that stops and one that resumes."""
    dataset = batches(Service(dispatcher), stop=40)
    wanted = read(batches(stop=2))
    for _ in range(2):
        assert_same(read(dataset.take(4)), wanted)


@pytest.mark.slow
def test_each_host_gets_its_own_share(dispatcher):
    service = Service(dispatcher)
    pairs = [
        (batches(service, hosts=2, host=host), batches(hosts=2, host=host))
        for host in range(2)
    ]
    # Read alternately, so that both streams are open at once.
    streams = [iter(served.as_numpy_iterator()) for served, _ in pairs]
    found = [list(turn) for turn in zip(*streams, strict=True)]
    for host, (_, local) in enumerate(pairs):
        assert_same([turn[host] for turn in found], read(local))


@pytest.mark.slow
def test_what_a_worker_could_not_read_is_named_here(dispatcher, tmp_path):
    for number in range(6):
        image = tf.fill([4, 4, 3], tf.constant(number, tf.uint8))
        tf.io.write_file(str(tmp_path / f"{number}.png"), tf.io.encode_png(image))
    (tmp_path / "2.png").write_bytes(b"GIF89a")
    opened = [data(name=f"folder:{tmp_path}").source("train") for _ in range(2)]
    served = read(batches(Service(dispatcher), source=opened[0], stop=2))
    assert_same(served, read(batches(source=opened[1], stop=2)))
    count, line = opened[0].skipped()
    assert count.startswith("skipped 1 of 6 examples")
    assert line.startswith(str(tmp_path / "2.png"))
    assert opened[1].skipped() == [count, line]


@pytest.mark.slow
def test_a_broken_example_ends_the_run_if_on_error_is_raise(dispatcher, tmp_path):
    tf.io.write_file(
        str(tmp_path / "0.png"), tf.io.encode_png(tf.zeros([4, 4, 3], "uint8"))
    )
    (tmp_path / "1.png").write_bytes(b"GIF89a")
    source = data(name=f"folder:{tmp_path}", on_error="raise").source("train")
    service = Service(dispatcher)
    with pytest.raises(tf.errors.UnknownError):
        read(batches(service, source=source))
    assert "cannot be read: " + str(tmp_path / "1.png") in service.failure


@pytest.mark.slow
def test_a_dispatcher_that_dies_is_named():
    # A process with its worker: both end at once.
    with command() as (process, address):
        service = Service(f"grpc://{address}", answer_seconds=0.1)
        iterator = iter(batches(service, stop=100_000))
        next(iterator)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
        with pytest.raises(tf.errors.UnknownError):
            while True:
                next(iterator)
    assert service.failure.startswith(
        f"data.service: nothing answers at grpc://{address} within 0.1 s"
    )


@pytest.mark.slow
def test_ending_a_stream_does_not_cancel_other_computations(dispatcher):
    """The stream reads in a separate thread, and only that thread is ended."""
    doubled = tf.function(lambda number: 2 * number)
    iterator = iter(batches(Service(dispatcher), stop=40))
    next(iterator)
    assert cancellation.context() is None
    del iterator
    gc.collect()
    assert int(doubled(tf.constant(4))) == 8


class Stream:
    """The elements of a service, from a list."""

    def __init__(self, numbers):
        self.arrived = queue.Queue()
        for number in numbers:
            self.arrived.put({"number": tf.constant(number, tf.int64)})

    def stop(self):
        pass


@pytest.fixture
def sent(monkeypatch):
    """Makes a service that sends these batches, one list per request."""

    def send(*orders):
        streams = iter(orders)
        monkeypatch.setattr(Service, "reach", lambda self: None)
        monkeypatch.setattr(
            "sslkit.data.service._Stream",
            lambda dataset, address: Stream(next(streams)),
        )
        service = Service("grpc://127.0.0.1:1", held_bytes=100)
        made = service.batches(
            lambda first, last: tf.data.Dataset.range(first, last).map(
                lambda number: {"number": number}
            ),
            0,
            40,
            problem=lambda first, last: None,
        )
        return service, iter(made)

    return send


def test_early_batches_are_bounded_and_the_late_one_is_requested_again(sent, caplog):
    # 100 bytes hold 12 batches of 8 bytes; the first comes after 20 others.
    _, iterator = sent([*range(1, 21), 0], range(40))
    with caplog.at_level(logging.WARNING):
        assert [int(next(iterator)["number"]) for _ in range(40)] == list(range(40))
    assert "batch 0 was requested once more" in caplog.text


def test_early_batches_that_fit_are_not_requested_again(sent):
    _, iterator = sent([*range(1, 13), 0, *range(13, 40)])
    assert [int(next(iterator)["number"]) for _ in range(40)] == list(range(40))


def test_a_batch_that_is_late_twice_ends_the_run_in_one_line(sent):
    service, iterator = sent([*range(1, 21), 0], [*range(1, 21), 0])
    with pytest.raises(tf.errors.UnknownError):
        next(iterator)
    assert service.failure == (
        "the data service at grpc://127.0.0.1:1 failed: 12 batches arrived before "
        "batch 0; a worker is far slower than the others"
    )


def test_a_dead_address_is_refused_in_time():
    service = Service("grpc://127.0.0.1:1", answer_seconds=0.1)
    with pytest.raises(UserError, match=r"nothing answers at grpc://127\.0\.0\.1:1 "):
        batches(service)


@pytest.mark.parametrize("address", ["127.0.0.1:5050", "grpc://here", "http://a:1"])
def test_what_is_not_an_address_is_refused(address):
    with pytest.raises(UserError, match=r"it looks like 'grpc://127\.0\.0\.1:5050'"):
        data(name="digits", service=address).connection  # noqa: B018


def test_memory_of_this_process_cannot_be_served():
    with pytest.raises(UserError, match=r"data\.cache is 'memory'.*use 'disk'"):
        data(name="digits", cache="memory", service="grpc://127.0.0.1:1")


@pytest.mark.slow
def test_a_worker_that_dies_changes_nothing(processes):
    # One is left, for those that come after.
    dispatcher, (worker, _) = processes
    service = Service(dispatcher, patience_seconds=2)
    found = []
    for number, batch in enumerate(batches(service, stop=200).as_numpy_iterator()):
        found.append(batch)
        if number == 20:
            worker.kill()
    assert_same(found, read(batches(stop=200)))


@pytest.mark.slow
def test_other_machines_are_not_let_in(dispatcher):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing: it finds the address that others see of this machine.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no network")
        own = probe.getsockname()[0]
    if own.startswith("127."):
        pytest.skip("this machine has no network")
    port = int(dispatcher.rpartition(":")[2])
    socket.create_connection(("127.0.0.1", port)).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((own, port)).close()


@pytest.fixture
def handlers():
    """Puts back the handlers of signals that the command sets in its process."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_a_port_in_use_is_named(handlers, capsys):
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        assert main(["data-service", "--port", str(port)]) == 2
    line = capsys.readouterr().err
    assert f"the dispatcher cannot be started on port {port}" in line
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--host", "0.0.0.0"],
            "is not an address by which other machines find this one",
        ),
        (["--worker", "10.0.0.1:5050"], "give --host the name of this machine"),
        (
            ["--host", "big.example"],
            "If you trust the network, add --e",
        ),
        (["--host", "big.example", "--worker", "x:1"], "every machine that reaches"),
        (["--expose"], "--expose needs --host, too"),
    ],
)
def test_an_address_that_others_cannot_use_is_refused(arguments, message, capsys):
    assert main(["data-service", *arguments]) == 2
    assert message in capsys.readouterr().err
