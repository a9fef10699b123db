"""When actions are run, what is reported, and what is kept."""

from __future__ import annotations

import math
import shutil

import numpy as np
import pytest
import tensorflow as tf
from training.rehearsal import Rehearsed, failing

from sslkit import programs
from sslkit.api import UserError
from sslkit.checkpoints import Keep
from sslkit.training.actions import Measure
from sslkit.training.duties import check_best
from sslkit.training.pace import Pace


def test_runs_the_actions_that_are_due_and_all_at_the_end(rehearse):
    run = rehearse(log_every=2, checkpoint_every=3, knn_every=4)
    run.run(7)
    assert [line["step"] for line in run.lines] == [2, 4, 6, 7]
    assert run.saved == [3, 6, 7]
    assert run.probed == [4, 7]
    assert [line["step"] for line in run.lines if "knn_top1" in line] == [4, 7]


def test_reports_means_over_the_steps_between_lines(rehearse):
    run = rehearse(log_every=4, inner_steps=3)
    run.run(6)
    # Losses are 0, 1, 2, ...; steps count equally in calls of any length.
    assert [line["loss"] for line in run.lines] == [1.5, 4.5]
    # A line needs only the metrics, so the device does not stop for it.
    assert run.calls == [3, 3]


@pytest.mark.parametrize("log_every", [7, 100])
def test_the_live_line_shows_single_steps_and_no_means(rehearse, capsys, log_every):
    # The loss of step n is n - 1, and its mean over the report that ends there is 3.
    run = rehearse(log_every=log_every)
    run.run(7)
    assert run.lines[-1]["loss"] == 3.0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if "step 7/7" in x]
    assert line.startswith("step 7/7  loss 6.0000  kNN 50.0%")


@pytest.mark.parametrize("inner_steps", [1, 2, 5, 100, None])
def test_lines_do_not_depend_on_how_many_steps_a_call_makes(
    tmp_path, table, inner_steps
):
    options = {
        "losses": {n: math.sin(n) for n in range(40)},
        "log_every": 3,
        "knn_every": 7,
        "checkpoint_every": 10,
    }
    wanted = [
        {
            "step": end,
            "time": None,
            "loss": sum(float(np.float32(math.sin(n))) for n in range(start, end))
            / (end - start),
            "gradient_norm": 1.0,
        }
        for start, end in ((0, 3), (3, 6), (6, 9), (9, 12), (12, 13))
    ]
    wanted[2:2] = [{"step": 7, "time": None, "knn_top1": 0.5}]
    wanted[-1]["knn_top1"] = 0.5
    run = Rehearsed(tmp_path, table(step=0), **options, inner_steps=inner_steps)
    run.run(13)
    assert [{**line, "time": None} for line in run.lines] == wanted
    assert run.probed == [7, 13]
    assert run.saved == [10, 13]


def test_a_value_that_is_not_finite_is_named_by_its_step_and_never_saved(rehearse):
    run = rehearse(
        log_every=2, checkpoint_every=8, inner_steps=8, norms={5: float("nan")}
    )
    with pytest.raises(UserError, match="gradient norm is nan at step 6"):
        run.run(20)
    assert run.calls == [8]
    assert [line["step"] for line in run.lines] == [2, 4]
    assert run.saved == []


def test_a_call_takes_about_a_second():
    pace = Pace()
    assert pace.steps == 1
    pace.took(1, 90.0)  # compiling
    assert pace.steps == 1
    pace.took(1, 0.01)
    assert pace.steps == 4
    for _ in range(5):
        pace.took(pace.steps, pace.steps * 0.01)
    assert pace.steps == 100
    pace.took(100, 5.0)  # batches came late
    assert pace.steps == 20
    pace.took(3, 0.15)  # something was due
    assert pace.steps == 20
    pace.took(20, 60.0)
    assert pace.steps == 1


def test_a_fixed_number_of_steps_stays():
    pace = Pace(5)
    for seconds in (90.0, 0.001, 50.0):
        pace.took(5, seconds)
        assert pace.steps == 5


def test_a_cached_program_that_does_not_fit_is_compiled_again(
    rehearse, monkeypatch, capsys
):
    run = rehearse(compiled=True, at={0: failing(tf.errors.InternalError, "no image")})
    asked = []

    def forget():
        run.at = {}
        asked.append("forget")
        return 1

    monkeypatch.setattr(programs, "forget", forget)
    monkeypatch.setattr(programs, "keep", lambda: asked.append("keep"))
    run.run(3)
    assert run.made == 3
    assert asked == ["forget", "keep"]
    said = capsys.readouterr().out
    assert "compiling the step (XLA) ..." in said
    assert "cannot be used (no image); compiling again" in said


@pytest.mark.parametrize(
    ("error", "dropped"),
    [(tf.errors.InternalError, 0), (tf.errors.ResourceExhaustedError, 1)],
)
def test_an_error_that_is_not_of_a_cached_program_is_shown(
    rehearse, monkeypatch, error, dropped
):
    run = rehearse(compiled=True, at={0: failing(error)})
    monkeypatch.setattr(programs, "forget", lambda: dropped)
    with pytest.raises(error, match="it broke"):
        run.run(3)


def test_inner_steps_stop_where_something_is_due(rehearse):
    run = rehearse(checkpoint_every=3, inner_steps=100)
    run.run(8)
    assert run.calls == [3, 3, 2]
    assert run.saved == [3, 6, 8]


def test_goes_on_in_the_rhythm_of_the_whole_run(rehearse):
    run = rehearse(log_every=3, checkpoint_every=3)
    run.run(8, start=4)
    assert [line["step"] for line in run.lines] == [6, 8]
    assert run.saved == [6, 8]


def test_keeps_the_best_also_between_two_checkpoints(rehearse):
    found = {2: 0.3, 4: 0.9, 6: 0.8, 8: 0.7, 10: 0.2, 12: 0.1}
    run = rehearse(
        keep=Keep(1, best="knn_top1"),
        knn=found.get,
        knn_every=2,
        checkpoint_every=5,
        log_every=1,
    )
    run.run(12)
    assert run.saved == [4, 12]
    # When it is started again, it still knows the best.
    run.knn = {14: 0.9, 15: 0.0}.get
    run.run(15, start=12)
    assert run.saved == [14, 15]


def test_refuses_to_keep_the_best_by_what_is_not_measured():
    measure = Measure(dict, every=1, finds=["knn_top1"])
    check_best(Keep(best="knn_top1"), [measure])
    with pytest.raises(UserError, match=r"is 'knn_top', .* Did you mean 'knn_top1'"):
        check_best(Keep(best="knn_top"), [measure])
    with pytest.raises(UserError, match=r"It measures nothing: bind train\.knn_every"):
        check_best(Keep(best="knn_top1"), [])


def test_a_checkpoint_that_cannot_be_written_stops_the_run(rehearse, tmp_path):
    def full():
        run.checkpoints.finish()
        shutil.rmtree(tmp_path / "checkpoints")
        (tmp_path / "checkpoints").write_text("not a folder")

    run = rehearse(checkpoint_every=2, at={3: full})
    with pytest.raises(UserError, match=r"step_0000000\d cannot be written"):
        run.run(1000)
    # In the background, but not for long.
    assert run.made < 1000


def test_a_run_whose_folder_was_taken_over_stops(rehearse, tmp_path):
    def taken():
        for claim in tmp_path.glob("owner-*.json"):
            claim.unlink()

    run = rehearse(checkpoint_every=2, at={3: taken})
    with pytest.raises(
        UserError, match=r"not belong to this process any more: its claim"
    ):
        run.run(1000)
    # The first was written or in progress; there is none after that.
    assert set(run.saved) <= {2}
