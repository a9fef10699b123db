"""Plans of whole recipes."""

from __future__ import annotations

import dataclasses
import re

import pytest

from sslkit import config
from sslkit.cli.main import main
from sslkit.plan.devices import RENTED, Device
from sslkit.plan.placeholders import PlaceholderData, PlaceholderRunner
from sslkit.plan.planning import outlook, plan

SMALL = [
    "backbones.convnet.filters = (4, 8)",
    "train.batch_size = 64",
    "objectives.fnc.bank = 4",
    "objectives.fnc.projection_dim = 32",
    # Quick to trace; a plan counts no views.
    "augmentations.fnc.strength = 0",
    "augmentations.fnc.randaugment_layers = 0",
]
IMAGENET = 1_281_167


def planned(recipe, *overrides, replicas=1, examples=1437):
    loaded = config.load([f"gin/{recipe}.gin"], overrides)
    runner, data = PlaceholderRunner(replicas=replicas), PlaceholderData(examples)
    return plan(loaded.train(runner=runner, data=data))


@pytest.fixture(scope="module")
def small():
    return planned("fnc_digits_pretrain", *SMALL)


def test_a_plan_counts_steps_images_and_parameters(small):
    # 20 epochs of 1,437 images in batches of 64, and the one update more.
    assert small.steps == 20 * 1437 // 64 + 1
    assert small.views == small.images * 4 == small.steps * 64 * 4
    assert small.input_bytes == 64 * 4 * 12 * 12 * 3
    # Two networks, a slot or more for each weight, and the bank.
    bank = 4 * 64 * 32 * 4
    assert bank + 4 * small.parameters < small.bank_bytes < small.state_bytes


def test_replicas_share_the_work_and_the_views_but_not_the_state(small):
    shared = planned("fnc_digits_pretrain", *SMALL, replicas=4)
    assert shared.state_bytes == small.state_bytes
    assert shared.input_bytes == small.input_bytes
    assert shared.replica.flops == pytest.approx(small.replica.flops / 4, rel=0.01)
    assert shared.replica.kept_bytes == pytest.approx(
        small.replica.kept_bytes / 4, rel=0.01
    )


def test_time_is_work_over_speed(small):
    device = Device("slow", 1e6, 2e6, 1e12, 1, 0.5)
    found = outlook(small, device, utilisation=None)
    assert found.step_seconds == pytest.approx(small.replica.flops / 0.5e6)
    assert found.hours == pytest.approx(found.step_seconds * small.steps / 3600)
    assert found.host_views == pytest.approx(64 * 4 / found.step_seconds)
    faster = outlook(small, device, utilisation=1.0)
    assert faster.hours == pytest.approx(found.hours / 2)


def test_bfloat16_halves_what_is_kept_and_not_the_state(small):
    half = planned("fnc_digits_pretrain", *SMALL, "train.precision = 'bfloat16'")
    assert half.bfloat16
    assert not small.bfloat16
    assert half.state_bytes == small.state_bytes
    assert half.replica.flops == small.replica.flops
    assert half.replica.kept_bytes == pytest.approx(
        small.replica.kept_bytes / 2, rel=0.05
    )


def test_a_plan_knows_how_fast_a_gpu_is_without_tf32(small):
    h100 = next(device for device in RENTED if device.name.startswith("H100"))
    exact = dataclasses.replace(small, tf32=False)
    tpu = RENTED[0]

    def seconds(plan, device):
        return outlook(plan, device, utilisation=1.0).step_seconds

    # NVIDIA's data sheet: 989 TFLOP/s in TF32 with sparsity, half without; 67 in
    # float32.
    assert seconds(exact, h100) / seconds(small, h100) == pytest.approx(495 / 67)
    assert seconds(exact, tpu) == seconds(small, tpu)
    half = dataclasses.replace(exact, bfloat16=True)
    assert seconds(half, h100) < seconds(small, h100)


@pytest.mark.parametrize(
    ("change", "memory", "words"),
    [
        ({}, 1e12, ""),
        ({}, 1e5, "memory: .* times what a replica has"),
        ({"views_per_core": 1e-9}, 1e12, "host: .* times what 96 cores"),
        ({"views_per_step": 8}, 1e12, "batch too small: 8 views per replica"),
    ],
)
def test_a_plan_says_what_fails_first(small, change, memory, words):
    device = Device("some", 1e6, 2e6, memory, 1, 0.5)
    found = outlook(dataclasses.replace(small, **change), device, utilisation=None)
    assert re.match(words, found.breaks) if words else found.breaks == ""


@pytest.mark.slow
def test_the_published_cost_of_simclr():
    # arXiv:2002.05709, section 2.2: 100 epochs in batches of 4096 take 1.5 hours on
    # 128 cores of TPU v3; 6 on 32.
    found = planned("simclr_v1_r50_pretrain", replicas=32, examples=IMAGENET)
    assert found.epochs == pytest.approx(100, rel=1e-3)
    # ResNet-50 at 224 pixels: 4.09 G multiply-adds an image, forward; backward twice.
    assert found.flops == pytest.approx(4096 * 2 * 4.09e9 * 2 * 3, rel=0.02)
    core = next(device for device in RENTED if device.name == "TPU v3 core")
    assert outlook(found, core, utilisation=None).hours == pytest.approx(6, rel=0.05)
    # It did run there.
    assert outlook(found, core, utilisation=None).memory_needed < core.memory


def test_the_command_prints_one_line_per_device(capsys, monkeypatch):
    monkeypatch.setattr("sslkit.cli.plan._HOST_SECONDS", 0.1)
    words = ["plan", "--gin", "gin/digits_supervised.gin", "--replicas", "2"]
    assert main([*words, *(w for s in SMALL[:2] for w in ("--set", s))]) == 0
    printed = capsys.readouterr().out
    assert "2 replica(s) of 32 views" in printed
    assert "views/s per core of this machine" in printed
    for device in ("this CPU", *(device.name for device in RENTED)):
        assert f"{device}: " in printed


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--replicas", "0"], "--replicas is 0; give 1 or more"),
        (
            ["--replicas", "3"],
            "batch_size 64 cannot be divided equally among 3 replicas",
        ),
        (["--utilisation", "2"], "--utilisation is 2; give more than 0 and at most 1"),
        (
            ["--set", "data.name = 'imagenet2012'"],
            "without the data, give the number of its training images: --examples N",
        ),
    ],
)
def test_bad_plans(words, message, capsys, tmp_path):
    recipe = ["plan", "--gin", "gin/fnc_digits_pretrain.gin", "--data-dir"]
    assert main([*recipe, str(tmp_path), "--set", "train.batch_size = 64", *words]) == 2
    assert message in capsys.readouterr().err
