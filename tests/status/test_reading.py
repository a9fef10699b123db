"""The state of runs, read from their folders, also from damaged ones."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import pytest

from sslkit.cli.main import main
from sslkit.status import find_runs, read_status
from sslkit.status.alive import is_alive
from sslkit.workdir import Workdir

NOW = 10_000.0


def make(folder, lines=(), *, steps=100, saved=(), result=False, begun=9_000.0):
    """A run that reports every ten steps, once in two seconds."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.gin").touch()
    (folder / "data.json").write_text(json.dumps({"train": {}, "steps": steps}))
    text = "".join(
        json.dumps({"step": 10 * n, "time": begun + 2 * n, **line}) + "\n"
        for n, line in enumerate(lines, start=1)
    )
    (folder / "metrics.jsonl").write_text(text)
    for step in saved:
        (folder / "checkpoints" / f"step_{step:08d}.index").touch()
    if result:
        (folder / "result.json").write_text("{}")
    return folder


def read(folder, *, alive=False):
    return read_status(str(folder), alive=lambda path: alive, clock=lambda: NOW)


def test_a_running_run_has_a_rate_and_a_time_left(tmp_path):
    lines = [{"loss": 2.0, "knn_top1": 0.5}, {"loss": 1.5}, {"loss": 1.0}]
    found = read(make(tmp_path / "W", lines), alive=True)
    assert (found.state, found.ok) == ("running", True)
    assert (found.step, found.steps) == (30, 100)
    assert found.rate == 5.0
    assert found.left == 70 / 5
    assert found.seen == NOW - 9_006
    # What comes seldom stays.
    assert found.metrics == {"loss": 1.0, "knn_top1": 0.5}


def test_a_stop_among_the_lines_does_not_slow_the_rate(tmp_path):
    folder = make(tmp_path / "W", [{"loss": 1.0}] * 5)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 60, "time": 9900.0, "loss": 1.0}\n')
    assert read(folder).rate == 5.0


@pytest.mark.parametrize(
    ("options", "alive", "state"),
    [
        ({"saved": [20]}, False, "stopped"),
        ({}, False, "started"),
        ({"saved": [20]}, None, "silent"),
        ({"saved": [100]}, False, "trained"),
        ({"saved": [100], "result": True}, False, "finished"),
        ({"saved": [100], "result": True}, True, "running"),
    ],
)
def test_the_state_of_a_run(tmp_path, options, alive, state):
    found = read(make(tmp_path / "W", **options), alive=alive)
    assert (found.state, found.ok, found.left) == (state, True, None)
    assert found.step == max(options.get("saved", [0]))


def test_health_is_shown_as_text(tmp_path):
    lines = [
        {"loss": 1.0},
        {
            "loss": None,
            "health/effective_rank": 31.25,
            "machine": {"data_wait_seconds": 1.5},
        },
    ]
    assert read(make(tmp_path / "W", lines)).health == (
        "loss is not finite",
        "effective_rank 31.2",
        "waits for data 75% of the time",
    )


def test_alarms_are_shown_too(tmp_path):
    lines = [{"loss": 1.0, "spread": 0.0, "health/effective_rank": 1.01}]
    assert read(make(tmp_path / "W", lines)).health == (
        "effective_rank 1.01",
        "the features have collapsed onto one line",
    )


DAMAGE = {
    "no such folder": (None, "the folder does not exist"),
    "a file": ("file", "the folder does not exist"),
    "empty": ({}, "it is empty"),
    "another folder": ({"cat.jpg": ""}, "it does not hold a run"),
    "data": ({"data.json": "{", "config.gin": ""}, "started; data.json is damaged"),
    "data of another kind": ({"data.json": "[1]"}, "started; data.json is damaged"),
    "metrics": (
        {"metrics.jsonl": '{"step": 1, "time": 1}\n\x00\xff\n{"step": "x"}\n{"st'},
        "stopped; 2 damaged lines in metrics.jsonl",
    ),
    "a bomb": (
        {"metrics.jsonl": "[" * 100_000 + "\n"},
        "started; 1 damaged line in metrics.jsonl",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_the_state_says_what_is_wrong_with_a_folder(tmp_path, case):
    files, state = DAMAGE[case]
    folder = tmp_path / "W"
    if isinstance(files, str):
        folder.touch()
    elif files is not None:
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text, encoding="latin-1")
    found = read(folder)
    assert (found.state, found.ok) == (state, False)


def test_a_folder_of_stages_lists_them_in_the_order_they_began(tmp_path):
    make(tmp_path / "pretrain", [{"loss": 1.0}], begun=1.0)
    make(tmp_path / "linear", [{"loss": 1.0}], begun=500.0)
    make(tmp_path / "finetune")
    (tmp_path / "notes").mkdir()
    names = [os.path.basename(path) for path in find_runs(str(tmp_path))]
    assert names == ["pretrain", "linear", "finetune"]


def test_a_folder_of_runs_may_hold_checkpoints_and_other_things(tmp_path):
    for name in ("one", "two"):
        make(tmp_path / name)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "data.json").write_text("{}")
    (tmp_path / "notes").mkdir()
    names = [os.path.basename(path) for path in find_runs(str(tmp_path))]
    assert names == ["one", "two"]
    # A run without its configuration is one as long as there are no others in it.
    lost = tmp_path / "one"
    (lost / "config.gin").unlink()
    assert find_runs(str(lost)) == [str(lost)]
    # The folder of a run is one whatever is in it.
    (tmp_path / "config.gin").touch()
    assert find_runs(str(tmp_path)) == [str(tmp_path)]


def test_a_run_is_running_while_a_process_owns_its_folder(tmp_path):
    assert is_alive(str(tmp_path)) is False
    assert is_alive("gs://bucket/W") is None
    assert is_alive(str(tmp_path / "nothing")) is None
    with Workdir(str(tmp_path)).alone():
        assert is_alive(str(tmp_path)) is True
        (path,) = tmp_path.glob("owner-*.json")
        text = path.read_text()
    assert is_alive(str(tmp_path)) is False
    # A process that has died left its claim behind.
    claim = {**json.loads(text), "born": "long ago"}
    path.write_text(json.dumps(claim))
    assert is_alive(str(tmp_path)) is False
    # One of another machine renews its claim.
    path.write_text(json.dumps({**claim, "machine": "another"}))
    assert is_alive(str(tmp_path)) is True
    os.utime(path, (NOW, NOW - 10_000_000))
    assert is_alive(str(tmp_path)) is False
    path.write_text("[1]")
    assert is_alive(str(tmp_path)) is False


def test_the_command_prints_one_row_per_run(tmp_path, capsys):
    make(tmp_path / "one", [{"loss": 1.25, "learning_rate": 0.1}] * 2, saved=[20])
    make(tmp_path / "two", saved=[100], result=True)
    code = main(["status", str(tmp_path), str(tmp_path / "missing")])
    out = capsys.readouterr().out
    assert code == 1  # because one is missing
    one, two, three = (line for line in out.splitlines() if str(tmp_path) in line)
    assert "stopped" in one and "20/100" in one and " 5 " in one
    assert "loss 1.2500  lr 0.1" in one
    assert "finished" in two and "100/100" in two
    assert "the folder does not exist" in three
    assert main(["status", str(tmp_path / "one")]) == 0


def test_the_command_does_not_import_tensorflow(tmp_path):
    make(tmp_path / "W", [{"loss": math.pi}], saved=[10])
    code = (
        "import sys; from sslkit.cli.main import main; main(['status', sys.argv[1]]); "
        "print([n for n in ('tensorflow', 'keras', 'numpy') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "W")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "loss 3.1416" in done.stdout


def test_a_run_in_a_bucket_is_read_by_tensorflow():
    import tensorflow as tf

    folder = "ram://status/W"
    tf.io.gfile.makedirs(f"{folder}/checkpoints")
    for name, text in {
        "data.json": '{"train": {}, "steps": 100}',
        "metrics.jsonl": '{"step": 10, "time": 9990.0, "loss": 1.5}\n',
        "checkpoints/step_00000020.index": "",
    }.items():
        with tf.io.gfile.GFile(f"{folder}/{name}", "w") as file:
            file.write(text)
    assert find_runs("ram://status") == [folder]
    found = read_status(folder, clock=lambda: NOW)
    assert (found.state, found.ok, found.step, found.seen) == ("silent", True, 20, 10.0)
    assert read_status("ram://status/none").state == "the folder does not exist"
