"""Errors of the device are one line that says what to lower or to turn off."""

from __future__ import annotations

import functools

import pytest
import tensorflow as tf
from training.test_run import run, training

from sslkit.api import UserError
from sslkit.runners.single import Single
from sslkit.testing import TinyBackbone, ToyMoCo
from sslkit.training.failures import explained, telling
from sslkit.views import CropFlip

TRACE = """Graph execution error:

Detected at node cond/ones defined at (most recent call last):
  File "/some/where.py", line 16, in <module>

  File "/some/where.py", line 15, in big

ptxas exited with non-zero error code 65280
\t [[{{node cond/ones}}]] [Op:__inference_loop_76]"""


def test_finds_the_line_with_the_reason():
    error = tf.errors.InternalError(None, None, TRACE)
    assert telling(error) == "ptxas exited with non-zero error code 65280"
    alone = tf.errors.InternalError(None, None, "Graph execution error:\n [Op:__a]")
    assert telling(alone) == "InternalError"
    long = tf.errors.InternalError(None, None, "x" * 300)
    assert len(telling(long)) == 200


class Hungry(ToyMoCo):
    """Needs two terabytes in its step, and not before."""

    def call(self, batch, *, step):
        outcome = super().call(batch, step=step)
        wide = tf.zeros([1 << 18]) + tf.cast(step, tf.float32)
        most = tf.reduce_max(tf.sort(wide[:, None] + wide[None], axis=0))
        return outcome._replace(loss=outcome.loss + 0 * most)


@pytest.mark.slow
@pytest.mark.parametrize(
    "precision", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)]
)
def test_too_little_memory_is_one_line_with_what_to_lower(precision, tmp_path):
    hungry = functools.partial(Hungry, TinyBackbone)
    made = training(hungry, precision=precision, augmentation=CropFlip(size=8, count=2))
    with pytest.raises(UserError) as caught:
        run(made, tmp_path)
    said = str(caught.value)
    assert said.startswith("out of memory (OOM when allocating tensor with shape[2621")
    assert f"16 images of 2 instance view(s) of 8 px, in {precision}. Lower" in said
    assert "train.batch_size" in said
    assert ("train.precision = 'bfloat16'" in said) is (precision == "float32")
    assert "`sslkit plan`" in said
    assert "\n" not in said


def fails(error, **options):
    made = training(**options)
    with explained(made):
        raise error


COMPILED = {"runner": Single(device="CPU:0", jit=True)}


@pytest.mark.parametrize(
    "kind",
    [
        tf.errors.InternalError,
        tf.errors.InvalidArgumentError,
        tf.errors.UnimplementedError,
        tf.errors.UnknownError,
    ],
)
def test_a_failure_of_xla_names_what_turns_it_off(kind):
    said = (
        r"the step that XLA compiles has failed \(ptxas exited with non-zero error "
        r"code 65280\)\. Turn XLA off: runners\.single\.jit = False; or --debug shows"
    )
    with pytest.raises(UserError, match=said):
        fails(kind(None, None, TRACE), **COMPILED)


def test_other_failures_are_left_as_they_are():
    for error, options in (
        (tf.errors.InternalError(None, None, TRACE), {}),
        (tf.errors.CancelledError(None, None, "told to stop"), COMPILED),
        (
            tf.errors.InvalidArgumentError(None, None, "{{node IteratorGetNext}} bad"),
            COMPILED,
        ),
        (tf.errors.ResourceExhaustedError(None, None, "No space left on device"), {}),
    ):
        with pytest.raises(type(error)):
            fails(error, **options)


def test_what_cannot_be_deterministic_names_the_option():
    words = (
        "HLO instruction select-and-scatter.3 does not have a deterministic "
        "implementation, but run-to-run determinism is required."
    )
    error = tf.errors.UnimplementedError(None, None, words)
    said = r"no deterministic operation .*select-and-scatter.*{}set train\.determ"
    with pytest.raises(UserError, match=said.format(r".*jit = False; or ")):
        fails(error, deterministic=True, **COMPILED)
    with pytest.raises(UserError, match=said.format(r"\)\. Or ")):
        fails(error, deterministic=True)
