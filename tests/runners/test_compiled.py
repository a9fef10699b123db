"""Training steps of recipes, compiled by XLA, do not contain what a TPU cannot run.

A TPU only runs what XLA compiles. Here XLA lowers each step for a CPU; its program
shows what a TPU would refuse or be slow at.
"""

from __future__ import annotations

import pytest
import tensorflow as tf
from runners.hlo import Program, lower

from sslkit import config
from sslkit.testing.precision import precision

# The step is that of the recipe, except for the batch, which is that of one replica,
# and the required settings.
ONE_REPLICA = ("train.runner = @runners.single()", "train.batch_size = 2")
FROM = ("train.initialize = 'W'",)
FAMILIES = {
    "fnc_r50_pretrain": (),
    "simclr_r50_pretrain": (),
    "supervised_r50": (),
    "fnc_r50_linear": FROM,
    "fnc_r50_finetune_1pct": FROM,
}
SMALL = (
    "train.runner = @runners.single()",
    "train.batch_size = 8",
    "train.steps = 10",
    "backbones.convnet.filters = (4, 8)",
    "objectives.fnc.block = 8",  # similarities in blocks, as at full size
)


class ImageNet:
    """The properties of the data on which a step depends."""

    name = "imagenet2012/train"
    size = 1_281_167
    classes = 1000


def program(recipe: str, *settings: str, source: object | None = None) -> Program:
    training = config.load([f"gin/{recipe}.gin"], settings).train()
    if source is not None:
        training.source = source
    return lower(training)


def check(found: Program) -> None:
    """Fails if a TPU would."""
    assert found.calls == set()
    assert found.dynamic == set()
    # Doubles are emulated, or missing; bytes and integers have no matrix unit.
    assert not found.types.keys() & {"f64", "c128"}
    assert found.products <= {"f32", "bf16"}
    # Pairs of words on a TPU: only for step counters.
    assert found.types["s64"] | found.types["u64"] <= {""}


def test_a_small_step_with_bank_and_device_views():
    found = program("fnc_digits_pretrain", *SMALL)
    check(found)
    # The bank, and views as bytes from the host.
    assert "32,128" in found.types["f32"]
    assert "8,2,12,12,3" in found.types["u8"]


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "settings"), FAMILIES.items(), ids=FAMILIES)
def test_a_step_at_full_width_and_size(recipe, settings):
    found = program(recipe, *ONE_REPLICA, *settings, source=ImageNet())
    check(found)
    assert any(sides.endswith("224,224,3") for sides in found.types["u8"])
    assert "1,1,1024,2048" in found.types["f32"]


@pytest.mark.slow
def test_half_precision_reaches_the_products():
    with precision("mixed_bfloat16"):
        found = program("fnc_r50_linear", *ONE_REPLICA, *FROM, source=ImageNet())
    check(found)
    assert "bf16" in found.products


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (lambda x: tf.cast(tf.cast(x, tf.float64) * 2, tf.float32), "f64"),
        (lambda x: tf.cast(tf.cast(x, tf.int32) @ [[1], [1]], tf.float32), "s32"),
        (lambda x: tf.reduce_sum(tf.boolean_mask(x, x > 0)), "<="),
        (lambda x: tf.cast(tf.cast(x, tf.int64) * 2, tf.float32), "2,2"),
    ],
    ids=["doubles", "integer products", "dynamic shapes", "long integers"],
)
def test_the_check_finds(step, told):
    lowered = tf.function(step, jit_compile=True).experimental_get_compiler_ir(
        tf.ones([2, 2])
    )
    with pytest.raises(AssertionError, match=told):
        check(Program(lowered(stage="hlo")))


def test_an_operation_without_a_kernel_is_named():
    def echo(x):
        return x

    step = tf.function(
        lambda x: tf.py_function(echo, [x], tf.float32), jit_compile=True
    )
    with pytest.raises(ValueError, match="EagerPyFunc"):
        step.experimental_get_compiler_ir(tf.ones([2]))(stage="hlo")
