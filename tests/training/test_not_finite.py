"""What stops a run, or is skipped, because a value is not finite."""

from __future__ import annotations

import math

import pytest

from sslkit.api import UserError
from sslkit.errors import Rewound
from sslkit.training.numbers import MOST_REWINDS


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_with_the_last_checkpoint(rehearse, loss):
    run = rehearse(checkpoint_every=2, losses={2: loss})
    with pytest.raises(UserError) as caught:
        run.run(9)
    assert str(caught.value).startswith(f"the loss is {loss} at step 3. Lower the")
    last = run.checkpoints.latest()
    assert str(caught.value).endswith(f"the last checkpoint is {last}.")
    assert run.saved == [2]


def test_the_learning_rate_is_not_named_before_the_first_update(rehearse):
    run = rehearse(losses={0: float("nan")})
    with pytest.raises(UserError) as caught:
        run.run(9)
    assert str(caught.value) == (
        "the loss is nan at step 1, before any update. Look in the objective for a "
        "logarithm, root or quotient of zero, and at the weights that the run starts "
        "from; W/bad_step_1.json has its examples and seeds; `sslkit replay --workdir "
        "W --step 1` looks for the first bad layer; no checkpoint exists."
    )


def test_a_gradient_that_is_not_finite_stops_before_it_is_saved(rehearse):
    run = rehearse(checkpoint_every=1, norms={0: float("inf")})
    with pytest.raises(
        UserError, match=r"gradient norm is inf at step 1.*no checkpoint"
    ):
        run.run(9)
    assert run.saved == []


def test_what_is_known_of_a_bad_step_is_written_down(rehearse):
    run = rehearse(norms={4: float("nan")}, inner_steps=8)
    with pytest.raises(UserError, match="nan at step 5, first in the gradient of a/b"):
        run.run(9)
    assert run.written == {
        5: {
            "step": 5,
            "first": "the gradient of a/b",
            "part": "gradient",
            "path": "a/b",
            "metrics": {"loss": 4.0, "gradient_norm": "nan", "refused": 2.0},
            "on_nonfinite": "stop",
        }
    }


def test_an_update_that_is_not_finite_is_named(rehearse):
    with pytest.raises(UserError, match="the update of c is not finite at step 3, tho"):
        rehearse(refused={2: 3}).run(9)


def test_only_the_chief_writes_it_down(rehearse):
    run = rehearse(losses={2: float("nan")}, is_chief=False)
    with pytest.raises(UserError, match="the loss is nan at step 3"):
        run.run(9)
    assert run.written == {}


@pytest.mark.parametrize("inner_steps", [1, 4])
def test_bad_steps_are_skipped_counted_and_said(rehearse, inner_steps):
    run = rehearse(
        on_nonfinite="skip",
        losses={3: float("nan"), 5: float("inf")},
        log_every=4,
        checkpoint_every=6,
        inner_steps=inner_steps,
    )
    run.run(8)
    assert [
        (line["step"], line["loss"], line["refused_steps"]) for line in run.lines
    ] == [(4, 1.0, 1.0), (8, (4 + 6 + 7) / 3, 1.0)]
    assert run.saved == [6, 8]
    assert sorted(run.written) == [4, 6]
    assert [line.partition("; ")[0] for line in run.said] == [
        "the loss is nan at step 4: the step is left out",
        "the loss is inf at step 6: the step is left out",
    ]


def test_an_interval_of_only_bad_steps_is_counted(rehearse):
    run = rehearse(
        on_nonfinite="skip", losses=dict.fromkeys((2, 3), math.nan), log_every=2
    )
    run.run(6)
    assert [line.get("loss") for line in run.lines] == [0.5, None, 4.5]
    assert run.lines[1] | {"time": 0} == {"step": 4, "time": 0, "refused_steps": 2.0}


def test_a_run_that_only_skips_stops(rehearse):
    options = {
        "on_nonfinite": "skip",
        "losses": dict.fromkeys(range(3, 99), math.nan),
        "checkpoint_every": 7,
    }
    run = rehearse(**options)
    with pytest.raises(UserError, match="at step 13, and the 9 steps before it were"):
        run.run(99)
    # When it is resumed, it goes on counting, and stops at the same step.
    with pytest.raises(UserError, match="at step 13, and the 9 steps before it were"):
        run.run(99, start=7)


def test_rewinding_needs_a_checkpoint(rehearse):
    run = rehearse(on_nonfinite="rewind", losses={3: math.nan})
    with pytest.raises(UserError, match="at step 4, and there is nothing to go back t"):
        run.run(9)


def test_rewinds_to_the_last_checkpoint_a_few_times(rehearse):
    run = rehearse(
        on_nonfinite="rewind",
        losses=dict.fromkeys(range(4, 99), math.nan),
        checkpoint_every=4,
    )
    start = 0
    for times in range(1, MOST_REWINDS + 1):
        with pytest.raises(Rewound) as back:
            run.run(99, start=start)
        assert "Going back to step 4; " in str(back.value)
        assert f"({times} of {MOST_REWINDS} times" in str(back.value)
        assert run.rewinds.left_out == list(range(5, 5 + times))
        start = 4
        # The device does not do it again.
        run.refused[3 + times] = -1
    with pytest.raises(UserError, match="gone back 3 times to where it is"):
        run.run(99, start=4)
    assert run.saved == [4]


def test_rewinding_without_an_end_stops(rehearse):
    """Each step that is left out is saved, and the next one is bad again."""
    run = rehearse(
        on_nonfinite="rewind",
        losses=dict.fromkeys(range(4, 99), math.nan),
        checkpoint_every=1,
    )
    for start in range(4, 13):
        with pytest.raises(Rewound, match=f"Going back to step {start}; "):
            run.run(99, start=0 if start == 4 else start - 1)
        run.refused[start] = -1
    with pytest.raises(UserError, match="at step 14, and the 9 steps before it were"):
        run.run(99, start=12)
