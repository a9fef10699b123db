import io

import pytest
import rich.console

from sslkit.training.progress import Progress, duration


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def plain() -> rich.console.Console:
    return rich.console.Console(file=io.StringIO(), force_terminal=False, width=40)


def run(progress: Progress, clock: Clock, steps: range, seconds: float) -> None:
    for step in steps:
        clock.now += seconds
        metrics = {"loss": 1 / step, "learning_rate": 0.1, "gradient_norm": 3.0}
        progress.update(step, metrics, views=512)


def test_a_log_gets_a_line_every_ten_seconds_and_at_the_end():
    clock, console = Clock(), plain()
    with Progress(25, console=console, clock=clock) as progress:
        run(progress, clock, range(1, 26), seconds=1.0)
    found = console.file.getvalue().splitlines()
    assert [line.split("  ")[0] for line in found] == [
        "step 1/25",
        "step 11/25",
        "step 21/25",
        "step 25/25",
    ]
    assert (
        found[1]
        == "step 11/25  loss 0.0909  lr 0.1  512 views/s  11s elapsed  14s left"
    )
    assert "left" not in found[-1]


def test_a_log_holds_no_control_characters_and_no_wrapped_lines():
    clock, console = Clock(), plain()
    with Progress(3, console=console, clock=clock) as progress:
        run(progress, clock, range(1, 4), seconds=100.0)
        progress.note("checkpoint saved: [/a/very/long/path]" + "x" * 60)
    text = console.file.getvalue()
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "checkpoint saved: [/a/very/long/path]" + "x" * 60 in text.splitlines()


def test_rates_forget_a_slow_start():
    clock, console = Clock(), plain()
    with Progress(1000, console=console, clock=clock) as progress:
        run(progress, clock, range(1, 2), seconds=120.0)  # compiling
        # Neither a rate nor the time left: compiling is not counted for either.
        assert console.file.getvalue() == "step 1/1000  loss 1.0000  lr 0.1\n"
        run(progress, clock, range(2, 102), seconds=1.0)
    last = console.file.getvalue().splitlines()[-1]
    assert "512 views/s  3m 40s elapsed  14m 59s left" in last


def test_the_first_phase_is_printed_with_its_duration():
    clock, console = Clock(), plain()
    with Progress(
        9, first="compiling the step", console=console, clock=clock
    ) as progress:
        assert console.file.getvalue() == "compiling the step ...\n"
        clock.now += 41.26
        run(progress, clock, range(1, 2), seconds=0.0)
    assert console.file.getvalue().splitlines()[1:] == [
        "compiling the step took 41s",
        "step 1/9  loss 1.0000  lr 0.1",
    ]


def test_a_terminal_shows_for_how_long_it_has_been_compiling():
    clock = Clock()
    console = rich.console.Console(file=io.StringIO(), force_terminal=True, width=120)
    with Progress(
        9, first="compiling the step", console=console, clock=clock
    ) as progress:
        clock.now += 41.26
        progress._bar.refresh()
        assert "step 0/9 compiling the step 41s" in console.file.getvalue()
        progress.update(1, {"loss": 1.0}, views=1)
        progress._bar.refresh()
    _, said, after = console.file.getvalue().rpartition("compiling the step took 41s")
    assert said
    last = after.rpartition("step 1/9")[2]
    assert "loss 1.0000" in last
    assert "compiling" not in last


def test_a_resumed_run_counts_its_own_steps_only():
    clock, console = Clock(), plain()
    with Progress(1010, 1000, console=console, clock=clock) as progress:
        clock.now += 60.0  # compiling
        progress.update(1002, {}, views=100)
        clock.now += 4.0
        progress.update(1004, {}, views=100)
    last = console.file.getvalue().splitlines()[-1]
    assert last == "step 1004/1010  25 views/s  1m 04s elapsed  12s left"


def test_the_latest_knn_stays_on_the_line():
    clock, console = Clock(), plain()
    with Progress(100, console=console, clock=clock) as progress:
        progress.update(1, {"knn_top1": 0.915}, views=1)
        clock.now += 10
        progress.update(2, {"loss": 2.0}, views=1)
    assert "loss 2.0000  kNN 91.5%" in console.file.getvalue().splitlines()[-1]


def test_a_terminal_gets_a_bar_with_notes_above():
    clock = Clock()
    console = rich.console.Console(file=io.StringIO(), force_terminal=True, width=120)
    with Progress(10, console=console, clock=clock) as progress:
        run(progress, clock, range(1, 6), seconds=1.0)
        progress.note("checkpoint saved")
    text = console.file.getvalue()
    assert "\x1b[" in text
    assert "step 5/10" in text
    assert text.index("checkpoint saved") < text.rindex("step 5/10")


def test_an_error_inside_still_leaves_the_last_line():
    console = plain()
    with (
        pytest.raises(RuntimeError),
        Progress(10, console=console, clock=Clock()) as progress,
    ):
        progress.update(3, {"loss": 1.0}, views=1)
        progress.update(4, {"loss": 2.0}, views=1)
        raise RuntimeError
    assert console.file.getvalue().splitlines()[-1] == "step 4/10  loss 2.0000"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0081, "8.1ms"),
        (2.345, "2.35s"),
        (42, "42s"),
        (59.6, "1m 00s"),
        (187, "3m 07s"),
        (3600 * 3 + 7 * 60, "3h 07m"),
        (86400 * 2 + 3600 * 5, "2d 05h"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_shows_some_of_the_objectives_metrics():
    clock, console = Clock(), plain()
    said = {"loss": 1.0, "gradient_norm": 3.0, "health/rank": 7.0}
    said |= {f"false_negatives_{n}": 0.12345 * n for n in range(1, 6)}
    with Progress(100, console=console, clock=clock) as progress:
        progress.update(1, said, views=1)
    assert console.file.getvalue() == (
        "step 1/100  loss 1.0000  false_negatives_1 0.123  false_negatives_2 0.247  "
        "false_negatives_3 0.37  false_negatives_4 0.494\n"
    )
