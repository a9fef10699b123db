"""What the multi-worker runner refuses before it connects."""

from __future__ import annotations

import json
import socket

import pytest
from runners.test_two_processes import free_addresses

from sslkit.api import UserError
from sslkit.runners.multiworker import MultiWorker

TWO = ["10.0.0.1:2222", "10.0.0.2:2222"]


def config(kind, index, **cluster):
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


def test_the_first_process_is_the_chief():
    assert MultiWorker(workers=TWO, index=0).is_chief
    assert not MultiWorker(workers=TWO, index=1).is_chief


@pytest.mark.parametrize(
    ("kind", "index", "cluster", "chief"),
    [
        ("worker", 0, {"worker": TWO}, True),
        ("worker", 1, {"worker": TWO}, False),
        ("chief", 0, {"chief": TWO[:1], "worker": TWO[1:]}, True),
        ("worker", 0, {"chief": TWO[:1], "worker": TWO[1:]}, False),
    ],
)
def test_reads_the_environment(monkeypatch, kind, index, cluster, chief):
    monkeypatch.setenv("TF_CONFIG", config(kind, index, **cluster))
    assert MultiWorker().is_chief is chief


def test_arguments_win_over_the_environment(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config("worker", 1, worker=TWO))
    assert MultiWorker(workers=TWO, index=0).is_chief


def test_says_how_to_configure_the_processes(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(UserError, match=r"Set TF_CONFIG, or bind .*workers"):
        MultiWorker().strategy  # noqa: B018
    with pytest.raises(UserError, match="workers is bound and index is not"):
        MultiWorker(workers=TWO).strategy  # noqa: B018


@pytest.mark.parametrize(
    "text",
    [
        "worker0:2222",
        "[1]",
        '{"cluster": {"worker": ["a:1"]}}',
        config("evaluator", 0, worker=TWO),
    ],
)
def test_shows_what_the_environment_should_say(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match=r'TF_CONFIG is .*looks like {"cluster"'):
        MultiWorker().is_chief  # noqa: B018


@pytest.mark.parametrize("address", ["10.0.0.1", "10.0.0.1:", ":22", "a:b", "a:99999"])
def test_names_a_malformed_address(address):
    runner = MultiWorker(workers=[TWO[0], address], index=0)
    with pytest.raises(UserError, match=f"worker 1 is '{address}'; an address is host"):
        runner.strategy  # noqa: B018


@pytest.mark.parametrize("index", [-1, 2])
def test_refuses_a_place_that_is_not_in_the_list(index):
    with pytest.raises(UserError, match=f"this is process {index} of 2"):
        MultiWorker(workers=TWO, index=index).strategy  # noqa: B018


def test_refuses_unknown_options():
    with pytest.raises(UserError, match="'mpi'; it must be 'auto', 'ring' or 'nccl'"):
        MultiWorker(communication="mpi")
    with pytest.raises(
        UserError, match="wait_seconds is 0; it must be a number above 0"
    ):
        MultiWorker(wait_seconds=0)


def test_names_the_processes_that_do_not_answer_in_time():
    own, dead = free_addresses(2)
    runner = MultiWorker(workers=[own, dead], index=0, wait_seconds=0.3)
    with pytest.raises(UserError, match=f"{dead} did not answer within 0.3 s"):
        runner.strategy  # noqa: B018


def test_says_that_its_port_is_taken():
    with socket.create_server(("", 0)) as server:
        own = f"127.0.0.1:{server.getsockname()[1]}"
        runner = MultiWorker(workers=[own, "127.0.0.1:1"], index=0, wait_seconds=0.3)
        with pytest.raises(UserError, match=f"port cannot be opened: {own}"):
            runner.strategy  # noqa: B018


def test_counts_its_processes():
    assert MultiWorker(workers=["a:1", "b:1", "c:1"], index=1).hosts == 3
