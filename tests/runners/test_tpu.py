"""The TPU runner without a TPU reports it, and soon."""

from __future__ import annotations

import pytest
from runners.test_two_processes import free_addresses

import sslkit.plugins
from sslkit.api import UserError
from sslkit.runners import tpu
from sslkit.runners.tpu import TPU


def test_is_installed():
    assert sslkit.plugins.load("runners", "tpu") is TPU


def test_leaves_compiling_to_the_strategy():
    assert TPU().jit is False


def test_names_a_dead_address_within_the_limit():
    (dead,) = free_addresses(1)
    runner = TPU(name=f"grpc://{dead}", connect_seconds=0.5)
    with pytest.raises(UserError, match=f"nothing answers at {dead} within 0.5 s"):
        runner.strategy  # noqa: B018


def test_gives_up_on_an_address_that_never_answers(monkeypatch):
    """A machine that drops packets: the connection is neither made nor refused."""
    asked = []

    def silent(address, timeout):
        asked.append((address, timeout))
        raise TimeoutError("timed out")

    monkeypatch.setattr(tpu.socket, "create_connection", silent)
    runner = TPU(name="grpc://10.0.0.1:8470", connect_seconds=3)
    with pytest.raises(UserError, match=r"within 3 s \(timed out\)"):
        runner.strategy  # noqa: B018
    assert asked == [(("10.0.0.1", 8470), 3)]


def test_says_what_to_do_without_a_tpu():
    with pytest.raises(UserError, match=r"no TPU called 'local'.*@runners.single\(\)"):
        TPU().strategy  # noqa: B018
