"""When actions are run, and what stops a run."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal

import numpy as np
import pytest
import tensorflow as tf

from sslkit import programs
from sslkit.api import RunInfo, UserError
from sslkit.checkpoints import Checkpoints, Keep
from sslkit.errors import Lost, Rewound, Stopped
from sslkit.reporters import MetricsFile
from sslkit.training.actions import Action, Measure
from sslkit.training.duties import check_best, duties
from sslkit.training.guard import REFUSED, Bad
from sslkit.training.interrupt import Interrupt, stopping
from sslkit.training.loop import Loop
from sslkit.training.numbers import MOST_REWINDS, NotFinite, Rewinds
from sslkit.training.pace import Pace
from sslkit.training.reporting import Reporting
from sslkit.workdir import Workdir

ALL = Keep(100)


class NoPictures(Action):
    needs_state = False

    def to(self, report):
        return self

    def run(self, moment):
        pass


def info(workdir, start, stop):
    return RunInfo(
        workdir=workdir, start=start, steps=stop, config="", settings={}, facts={}
    )


EVERY = ("log", "checkpoint", "knn")


class Judge:
    """A guard whose device is a function in Python."""

    def why(self, values):
        known = {1: Bad("loss", ""), 2: Bad("gradient", "a/b"), 3: Bad("update", "c")}
        return {**known, -1: Bad("told", "")}.get(int(values[REFUSED]))


class Rehearsed:
    """A loop whose device is a function in Python."""

    def __init__(
        self,
        workdir,
        table,
        *,
        losses=None,
        norms=None,
        at=None,
        is_chief=True,
        keep=ALL,
        knn=lambda step: 0.5,
        on_nonfinite="stop",
        refused=None,
        **every,
    ):
        self.workdir = str(workdir)
        self.keep = keep
        self.knn = knn
        self.owner = None
        self.checkpoints = Checkpoints(
            os.path.join(workdir, "checkpoints"),
            keep=keep,
            guard=lambda: self.owner.confirm(),
        )
        self.calls, self.probed, self.asked = [], [], []
        self.table = table
        self.losses = losses or {}
        self.norms = norms or {}
        self.refused = refused or {}
        self.on_nonfinite = on_nonfinite
        self.rewinds, self.written, self.said = Rewinds(), {}, []
        self.at = at or {}
        self.made = 0
        every = {"log_every": 100, "checkpoint_every": 100, "knn_every": 100, **every}
        self.every = {key: every.pop(f"{key}_every") for key in EVERY}
        self.is_chief = is_chief
        self.actions = []
        self.loop = Loop(
            prepare=lambda: self.advance,
            metrics=("loss", "gradient_norm", REFUSED),
            actions=self.actions,
            problem=self.problem,
            service=None,
            checkpoints=self.checkpoints,
            views=8,
            **{"inner_steps": 1, **every},
            is_chief=is_chief,
        )

    def advance(self, inner):
        self.calls.append(inner)
        values = []
        for _ in range(inner):
            if self.made in self.at:
                self.at[self.made]()
            loss = self.losses.get(self.made, float(self.made))
            norm = self.norms.get(self.made, 1.0)
            found = 1 if not math.isfinite(loss) else 2 * (not math.isfinite(norm))
            values.append((loss, norm, self.refused.get(self.made, found)))
            self.made += 1
        self.table["step"].assign(self.made)
        return np.array(values, np.float32)

    def problem(self, first, last):
        self.asked.append((first, last))
        return "an example cannot be read: b.png"

    def probe(self):
        self.probed.append(self.made)
        return {"knn_top1": self.knn(self.made)}

    def record(self, step, known):
        self.written[step] = known
        return f"W/bad_step_{step}.json"

    def run(self, stop, start=0):
        self.made = start
        workdir = Workdir(self.workdir)
        with (
            workdir.alone() if self.is_chief else contextlib.nullcontext() as owner,
            duties(
                self.checkpoints,
                owner=owner,
                table=self.table,
                numbers=NotFinite(
                    self.on_nonfinite,
                    Judge(),
                    self.checkpoints,
                    rewinds=self.rewinds,
                    workdir="W",
                    record=self.record if self.is_chief else None,
                    say=self.said.append,
                ),
                report=Reporting(
                    [MetricsFile()],
                    info(self.workdir, start, stop),
                    say=self.said.append,
                ),
                pictures=NoPictures(),
                measures=[
                    Measure(self.probe, every=self.every["knn"], finds=["knn_top1"])
                ],
                keep=self.keep,
                log_every=self.every["log"],
                checkpoint_every=self.every["checkpoint"],
            ) as actions,
        ):
            self.owner = owner
            self.actions[:] = actions
            self.loop.run(start=start, stop=stop)

    @property
    def lines(self):
        path = os.path.join(self.workdir, "metrics.jsonl")
        with open(path) as file:
            return [json.loads(line) for line in file]

    @property
    def saved(self):
        return [int(p.rpartition("_")[2]) for p in self.checkpoints.prefixes()]


@pytest.fixture
def rehearse(tmp_path, table):
    return lambda **options: Rehearsed(tmp_path, table(step=0), **options)


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


def test_a_signal_is_not_lost_in_a_rewind():
    with pytest.raises(Stopped, match="stopped by SIGTERM"), stopping(), Interrupt():
        signal.raise_signal(signal.SIGTERM)
        raise Rewound("back")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_between_steps_and_the_run_goes_on(rehearse, number):
    before = signal.getsignal(number)
    run = rehearse(log_every=2, at={4: lambda: signal.raise_signal(number)})
    with pytest.raises(Stopped) as stopped:
        run.run(9)
    # The step in which the signal came is done and saved.
    assert run.saved == [5]
    assert run.table["step"].numpy() == 5
    assert str(stopped.value) == (
        f"stopped by {number.name} at step 5; the last checkpoint is "
        f"{run.checkpoints.latest()}"
    )
    assert signal.getsignal(number) is before
    run.at = {}
    run.run(9, start=5)
    assert run.saved == [5, 9]
    assert [line["step"] for line in run.lines] == [2, 4, 6, 8, 9]


def killed():
    raise MemoryError


@pytest.mark.parametrize("inner_steps", [1, 3])
@pytest.mark.parametrize(
    ("stop", "error", "resumed"),
    [
        (lambda: signal.raise_signal(signal.SIGTERM), Stopped, 7),
        (killed, MemoryError, 6),
    ],
)
def test_a_run_that_was_stopped_reports_what_one_that_was_not_does(
    tmp_path, table, stop, error, resumed, inner_steps
):
    """To the last bit: the sums of the steps since the last line are kept."""
    options = {
        "losses": {n: math.sin(n) for n in range(20)},
        "log_every": 5,
        "checkpoint_every": 6,
        "inner_steps": inner_steps,
    }
    whole = Rehearsed(tmp_path / "whole", table(step=0), **options)
    whole.run(17)
    run = Rehearsed(tmp_path / "stopped", table(step=0), **options, at={6: stop})
    with pytest.raises(error):
        run.run(17)
    saved = run.saved[-1]
    assert saved == (resumed if inner_steps == 1 or error is MemoryError else 9)
    run.at = {}
    run.run(17, start=saved)

    def timeless(run):
        return [{**line, "time": None} for line in run.lines]

    assert timeless(run) == timeless(whole)
    assert [line["step"] for line in run.lines] == [5, 10, 15, 17]


@pytest.fixture
def interruptible():
    """Sets Python's handler of Ctrl-C, which is ignored in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_second_signal_stops_at_once(rehearse, interruptible):
    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    run = rehearse(at={1: twice})
    with pytest.raises(KeyboardInterrupt):
        run.run(9)
    assert run.saved == []


def test_a_signal_in_the_last_step_stops_before_what_comes_after(rehearse):
    run = rehearse(at={2: lambda: signal.raise_signal(signal.SIGINT)})
    with pytest.raises(Stopped, match="SIGINT at step 3"):
        run.run(3)
    assert run.saved == [3]


def test_a_signal_that_came_too_late_for_the_steps_is_passed_on():
    with pytest.raises(Stopped, match="stopped by SIGTERM"), stopping(), Interrupt():
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_outside_of_the_steps_stops_at_once():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped, match="stopped by SIGTERM"), stopping():
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("it goes on")
    assert signal.getsignal(signal.SIGTERM) is before


def test_who_is_not_chief_goes_on_until_the_chief_has_saved(rehearse):
    """A signal to all processes: the chief needs the others to finish its step."""
    run = rehearse(
        is_chief=False,
        at={
            1: lambda: signal.raise_signal(signal.SIGTERM),
            4: failing(tf.errors.UnavailableError),
        },
    )
    with pytest.raises(Stopped, match="SIGTERM, after the first process"):
        run.run(9)
    assert run.made == 4
    assert run.saved == []


def failing(error, message="it broke"):
    def fail():
        raise error(None, None, message)

    return fail


READING = "not an image\n\t [[{{node DecodePng}}]]\n\t [[IteratorGetNext]]"


def test_an_unreadable_example_is_looked_for_in_the_steps_under_way(rehearse):
    broken = failing(tf.errors.InvalidArgumentError, READING)
    run = rehearse(at={5: broken}, inner_steps=3)
    with pytest.raises(UserError, match=r"an example cannot be read: b\.png\."):
        run.run(9)
    assert run.asked == [(3, 6)]


def test_an_error_that_nothing_in_the_data_explains_is_shown(rehearse, monkeypatch):
    run = rehearse(at={1: failing(tf.errors.InvalidArgumentError, READING)})
    monkeypatch.setattr(run.loop, "_problem", lambda first, last: None)
    with pytest.raises(tf.errors.InvalidArgumentError, match="not an image"):
        run.run(3)


@pytest.mark.parametrize(
    "error", [tf.errors.InvalidArgumentError, tf.errors.NotFoundError]
)
def test_an_error_of_the_step_is_shown_at_once_and_no_data_is_read(rehearse, error):
    run = rehearse(at={1: failing(error)})
    with pytest.raises(error, match="it broke"):
        run.run(3)
    assert run.asked == []


def test_a_lost_process_is_named_with_the_last_checkpoint(rehearse):
    run = rehearse(checkpoint_every=1, at={2: failing(tf.errors.UnavailableError)})
    with pytest.raises(Lost, match=r"another process .* gone.*step_00000002\."):
        run.run(3)


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
