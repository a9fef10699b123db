"""Which GPUs a process uses, with a TensorFlow that pretends to have some."""

from __future__ import annotations

import types

import pytest
import tensorflow as tf

from sslkit.api import UserError
from sslkit.runners import gpus
from sslkit.runners.mirrored import Mirrored
from sslkit.runners.single import Single


class Machine:
    """Replaces `tf.config` for GPUs, as on a machine that has some.

    Its errors are TensorFlow's: visible devices and memory growth cannot change after
    the start.
    """

    def __init__(self, count):
        self.physical = [f"/physical_device:GPU:{i}" for i in range(count)]
        self.visible = list(self.physical)
        self.growing = []
        self.started = False

    def set_visible(self, devices, kind):
        assert kind == "GPU"
        if self.started and devices != self.visible:
            raise RuntimeError("Visible devices cannot be modified")
        self.visible = list(devices)

    def grow(self, device, enable):
        assert enable
        if self.started:
            raise RuntimeError("Physical devices cannot be modified")
        self.growing.append(device)


@pytest.fixture
def machine(monkeypatch):
    """Makes TensorFlow report a number of GPUs, and records the calls."""

    def make(count, *, started=False):
        made = Machine(count)
        made.started = started
        config = tf.config

        def physical(kind=None):
            assert kind == "GPU", "a test asks for GPUs alone"
            return made.physical

        monkeypatch.setattr(config, "list_physical_devices", physical)
        monkeypatch.setattr(config, "get_visible_devices", lambda kind: made.visible)
        monkeypatch.setattr(config, "set_visible_devices", made.set_visible)
        monkeypatch.setattr(config.experimental, "set_memory_growth", made.grow)
        # No strategy can be made for a GPU that is not there.
        named = types.SimpleNamespace
        monkeypatch.setattr(
            tf.distribute, "OneDeviceStrategy", lambda device: named(devices=[device])
        )
        monkeypatch.setattr(
            tf.distribute, "MirroredStrategy", lambda devices: named(devices=devices)
        )
        return made

    return make


@pytest.mark.parametrize(("device", "index"), [("auto", 0), ("GPU:1", 1), ("gpu:2", 2)])
def test_single_claims_the_chosen_gpu_alone(machine, device, index):
    here = machine(3)
    runner = Single(device=device)
    # TensorFlow counts visible GPUs.
    assert runner.strategy.devices == ["GPU:0"]
    assert here.visible == here.growing == [here.physical[index]]
    assert runner.jit


def test_single_on_the_cpu_claims_no_gpu(machine):
    here = machine(2)
    runner = Single(device="CPU:0")
    assert runner.strategy.devices == ["CPU:0"]
    assert here.visible == here.growing == []
    assert not runner.jit


def test_all_memory_is_taken_at_once_only_if_asked(machine):
    here = machine(1)
    assert Single(memory_growth=False).strategy.devices == ["GPU:0"]
    assert here.visible == here.physical
    assert here.growing == []


def test_a_device_that_is_not_there_is_one_line(machine):
    machine(2)
    said = r"not have the device 'GPU:2'\. Devices: CPU:0, GPU:0, GPU:1\."
    with pytest.raises(UserError, match=said):
        Single(device="GPU:2").strategy  # noqa: B018


def test_a_gpu_where_there_is_none_is_one_line():
    # Those of this machine, whose CPU the tests have split.
    if gpus.there():
        pytest.skip("there is a GPU here")
    with pytest.raises(
        UserError, match=r"not have the device 'GPU:0'\. Devices: CPU:0"
    ):
        Single(device="GPU:0").strategy  # noqa: B018
    with pytest.raises(UserError, match=r"'CPU:9'\. Devices: CPU:0, CPU:1, CPU:2"):
        Single(device="CPU:9").strategy  # noqa: B018
    with pytest.raises(UserError, match="not have the device 'abacus'"):
        Single(device="abacus").strategy  # noqa: B018
    assert Single(device="cpu:1").strategy.extended.worker_devices[0].endswith("CPU:1")


def test_mirrored_claims_as_many_as_it_has_replicas(machine):
    here = machine(4)
    assert Mirrored(replicas=2).strategy.devices == ["GPU:0", "GPU:1"]
    assert here.visible == here.growing == here.physical[:2]
    assert len(Mirrored().strategy.devices) == 4
    with pytest.raises(UserError, match=r"5 replicas .* this machine has 4 GPU"):
        Mirrored(replicas=5).strategy  # noqa: B018


def test_in_a_process_that_has_started_gpus_stay_as_they_are(machine):
    here = machine(2, started=True)
    # A notebook has all GPUs visible, so the second one keeps its number.
    assert Single(device="GPU:1").strategy.devices == ["GPU:1"]
    assert here.visible == here.physical
    assert here.growing == []
    gpus.hide()
    assert here.visible == here.physical


def test_a_hidden_gpu_cannot_be_used_again(machine):
    here = machine(2)
    Single(device="GPU:0").strategy  # noqa: B018
    here.started = True
    said = "GPU:1: TensorFlow started in this process without it.*Start a new process"
    with pytest.raises(UserError, match=said):
        Single(device="GPU:1").strategy  # noqa: B018


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"), True),
        (
            tf.errors.ResourceExhaustedError(None, None, "No space left on device"),
            False,
        ),
        (tf.errors.InternalError(None, None, "CUDA_ERROR_OUT_OF_MEMORY: o"), True),
        (tf.errors.InternalError(None, None, "CUBLAS_STATUS_ALLOC_FAILED"), True),
        (tf.errors.InternalError(None, None, "ptxas exited with 1"), False),
        (MemoryError("out of memory"), False),
    ],
)
def test_knows_when_a_device_is_out_of_memory(error, found):
    assert gpus.is_out_of_memory(error) is found
