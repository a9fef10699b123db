"""Arithmetic of a run: it is applied and described, and ends with the run."""

from __future__ import annotations

import json
import os
import types

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config
from training.test_run import MOCO, half_done, run, training

import sslkit.training.arithmetic as module
from sslkit.api import UserError
from sslkit.runners.single import Single
from sslkit.runners.tpu import TPU
from sslkit.training.arithmetic import XLA_FLAGS, Arithmetic

DEVICES = {
    "CPU": "/job:localhost/replica:0/task:0/device:CPU:0",
    "GPU": "/job:localhost/replica:0/task:0/device:GPU:0",
    "TPU": "/job:worker/replica:0/task:0/device:TPU:0",
}


def place(kind):
    extended = types.SimpleNamespace(worker_devices=(DEVICES[kind],))
    return types.SimpleNamespace(extended=extended)


def process():
    return (
        tf.config.experimental.tensor_float_32_execution_enabled(),
        config.is_op_determinism_enabled(),
    )


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        (("float32", True, False), "CPU", "float32"),
        (("float32", False, True), "CPU", "float32; deterministic"),
        (
            ("float32", True, False),
            "GPU",
            "float32; float32 products in TF32 (10 bits of 23) where the GPU has it; "
            "bits may differ from run to run",
        ),
        (("float32", False, True), "GPU", "float32; TF32 off; deterministic"),
        (
            ("bfloat16", False, False),
            "CPU",
            "bfloat16 in the network, float32 in weights, statistics and loss",
        ),
        (
            ("float32", False, False),
            "TPU",
            "float32; a TPU multiplies float32 in bfloat16",
        ),
    ],
)
def test_describes_the_settings(options, kind, said):
    assert Arithmetic(*options).describe(place(kind)) == said


def test_is_of_the_process_only_while_it_is_held():
    before = process()
    with Arithmetic("float32", tf32=False, deterministic=True).held():
        assert process() == (False, True)
        # A nested context, as in `train` and what it calls: the outer one stays.
        with Arithmetic("float32", tf32=True, deterministic=False).held():
            assert process() == (True, True)
        assert process() == (False, True)
    assert process() == before == (True, False)


def test_is_put_back_after_an_error():
    with (
        pytest.raises(ZeroDivisionError),
        Arithmetic("float32", tf32=False, deterministic=True).held(),
    ):
        raise ZeroDivisionError
    assert process() == (True, False)


@pytest.fixture
def started(monkeypatch):
    """Sets how many GPUs there are, and whether TensorFlow has started them."""

    def say(gpus, *, started):
        names = [f"GPU:{i}" for i in range(gpus)]
        monkeypatch.setattr(module.gpus, "there", lambda: names)
        state = types.SimpleNamespace(_initialized=started)
        monkeypatch.setattr(module.context, "context", lambda: state)
        monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/nowhere")

    return say


DETERMINISTIC = Arithmetic("float32", tf32=True, deterministic=True)


def test_xla_is_told_before_it_starts_a_gpu(started):
    started(1, started=False)
    with DETERMINISTIC.held(), DETERMINISTIC.held():
        flags = os.environ["XLA_FLAGS"].split()
    assert flags == ["--xla_dump_to=/nowhere", *XLA_FLAGS]


def test_xla_is_left_alone_without_a_gpu_or_without_need(started):
    started(0, started=False)
    with DETERMINISTIC.held():
        assert os.environ["XLA_FLAGS"] == "--xla_dump_to=/nowhere"
    started(1, started=True)
    with Arithmetic("float32", tf32=True, deterministic=False).held():
        assert os.environ["XLA_FLAGS"] == "--xla_dump_to=/nowhere"


def test_a_gpu_that_has_started_without_it_is_refused(started):
    started(1, started=True)
    said = r"train\.deterministic is set, and TensorFlow has started its GPUs"
    with pytest.raises(UserError, match=said), DETERMINISTIC.held():
        raise AssertionError("never entered")
    assert process() == (True, False)


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """A deterministic run in bfloat16, without an interruption."""
    folder = tmp_path_factory.mktemp("half")
    table, said, _ = run(training(precision="bfloat16", deterministic=True), folder)
    return folder, table, said


def test_a_run_in_bfloat16_keeps_float32(half):
    folder, table, said = half
    assert said[7] == (
        "precision: bfloat16 in the network, float32 in weights, statistics and loss; "
        "deterministic"
    )
    kinds = {name: value.dtype.name for name, value in table.items()}
    assert kinds.pop("step") == "int64"
    assert set(kinds.values()) == {"float32"}
    assert {name.partition("/")[0] for name in kinds} >= {"bank", "twin"}
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert all(np.isfinite(json.loads(line)["loss"]) for line in lines)
    # The weights have more digits than bfloat16 has, 16 bits of them zero there.
    bits = table["encoder/layer/conv/kernel"].view(np.uint32)
    assert np.any(bits & 0xFFFF)


@pytest.mark.slow
def test_a_run_in_bfloat16_resumes_bit_for_bit(half, tmp_path):
    folder, wanted, _ = half
    copy = half_done(folder, tmp_path / "half")
    # On a CPU the operations are deterministic anyway, so the resumed run need not set
    # it.
    table, said, _ = run(training(precision="bfloat16"), copy)
    assert any(line.startswith("resuming at step 3") for line in said)
    for name, value in wanted.items():
        np.testing.assert_array_equal(table[name], value, err_msg=name)
    assert process() == (True, False)


def test_two_runs_in_one_process_have_a_precision_each():
    wide, narrow = training(), training(precision="bfloat16")
    for made, kind in ((wide, "float32"), (narrow, "bfloat16"), (wide, "float32")):
        assert made.objective.encoder.compute_dtype == kind
        assert made.untrained_encoder().compute_dtype == kind
        assert made.objective.bank.variable_dtype == "float32"
    images = tf.ones([2, 8, 8, 3]) * tf.constant([0.1, 0.2, 0.3])
    features = [
        made.objective.encoder(images, training=False) for made in (wide, narrow)
    ]
    assert features[0].dtype == features[1].dtype == tf.float32
    # Three products in bfloat16, each rounded by 2^-9 at most, and their sum.
    np.testing.assert_allclose(*features, rtol=2e-2, atol=1e-2)
    assert np.any(features[0] != features[1])


def test_a_tpu_rounds_as_it_does_by_default():
    """TensorFlow's switch for TF32 would make a TPU multiply in six passes."""
    assert training(runner=TPU(), tf32=False).arithmetic.tf32
    assert not training(tf32=False).arithmetic.tf32


def test_what_does_not_exist_is_refused():
    with pytest.raises(UserError, match=r"precision.*'float16'.*'float32'.*'bfloat16'"):
        training(MOCO, precision="float16", runner=Single(device="CPU:0"))
