"""What stops a run from outside: signals, the device, data that cannot be read."""

from __future__ import annotations

import math
import signal

import pytest
import tensorflow as tf
from training.rehearsal import Rehearsed, failing

from sslkit.api import UserError
from sslkit.errors import Lost, Rewound, Stopped
from sslkit.training.interrupt import Interrupt, stopping

READING = "not an image\n\t [[{{node DecodePng}}]]\n\t [[IteratorGetNext]]"


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
