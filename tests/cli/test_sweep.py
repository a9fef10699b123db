"""`sslkit sweep`, with a small fake of the command that it runs."""

from __future__ import annotations

import json
import os
import shlex
import signal
import threading
import time

import pytest

from sslkit.cli.main import main
from sslkit.config import read

RECIPE = "gin/fnc_digits_pretrain.gin"
TOPK = "objectives.fnc.topk = [5, 10]"

STAND_IN = """#!/bin/sh
# python -P -m sslkit train ... --workdir FOLDER: as a run that does what `$DO` says.
for word; do
  test "$before" = --workdir && folder=$word
  before=$word
done
echo "$@"
case "$folder" in
  *"$FAILS"*) echo "sslkit: error: no luck" >&2; exit ${CODE:-2} ;;
esac
if test -n "$WAITS"; then
  trap 'echo saved; exit 75' INT TERM
  echo > "$folder.waits"
  while :; do sleep 0.02; done
fi
mkdir -p "$folder"
echo '{"train": {}, "steps": 3}' > "$folder/data.json"
echo '{"step": 3, "time": 1.0, "loss": 1.0}' > "$folder/metrics.jsonl"
echo '{"step": 3}' > "$folder/result.json"
"""


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """Calls `sslkit sweep` in a new folder; its runs are the fake command."""
    script = tmp_path / "python"
    script.write_text(STAND_IN)
    script.chmod(0o755)
    monkeypatch.setattr("sslkit.cli.sweep.sys.executable", str(script))
    monkeypatch.setenv("FAILS", "nothing")

    def call(*words, overs=(TOPK, "train.seed = 0..1")):
        given = [word for over in overs for word in ("--over", over)]
        folder = str(tmp_path / "S")
        return main(["sweep", "--gin", RECIPE, "--workdir", folder, *given, *words])

    call.folder = tmp_path / "S"
    return call


def test_all_runs_are_trained_and_finished_ones_are_skipped(sweep, capsys):
    assert sweep("--jobs", "2", "--set", "train.epochs = 1") == 0
    out = capsys.readouterr().out
    assert "finished: 4 of 4 runs" in out
    assert f"next: sslkit compare {sweep.folder}" in out
    log = (sweep.folder / "logs" / "topk=10,seed=1.log").read_text()
    assert log == (
        f"-P -m sslkit train --gin {RECIPE} --set train.epochs = 1 --set "
        "objectives.fnc.topk = 10 --set train.seed = 1 --workdir "
        f"{sweep.folder}/topk=10,seed=1\n"
    )
    # A result of an earlier checkpoint is not the run's.
    early = sweep.folder / "topk=5,seed=0" / "result.json"
    early.write_text(json.dumps({"step": 2}))
    assert sweep("--set", "train.epochs = 1", overs=[TOPK, "train.seed = 0..2"]) == 0
    out = capsys.readouterr().out
    assert "finished already, and skipped: 3\n" in out
    assert "topk=5,seed=0, 1 of 3: started" in out
    assert "finished: 6 of 6 runs" in out
    assert sweep("--set", "train.epochs = 1") == 0
    assert "started" not in capsys.readouterr().out


def test_a_run_that_fails_is_named_and_does_not_stop_the_others(
    sweep, capsys, monkeypatch
):
    monkeypatch.setenv("FAILS", "topk=5,seed=1")
    assert sweep() == 1
    out = capsys.readouterr().out
    assert "topk=5,seed=1: failed after" in out
    log = sweep.folder / "logs" / "topk=5,seed=1.log"
    assert f"topk=5,seed=1: exit code 2: sslkit: error: no luck ({log})" in out
    assert "finished: 3 of 4 runs" in out
    assert "the same command goes on with these" in out


def test_a_run_to_be_started_again_gives_its_exit_code(sweep, capsys, monkeypatch):
    monkeypatch.setenv("FAILS", "seed=1")
    monkeypatch.setenv("CODE", "75")
    assert sweep(overs=["train.seed = 0..1"]) == 75
    assert "to be started again: 1" in capsys.readouterr().out


def test_a_signal_stops_all_and_says_how_to_go_on(sweep, capsys, monkeypatch):
    monkeypatch.setenv("WAITS", "1")

    def when_both_run():
        marks = [sweep.folder / f"seed={seed}.waits" for seed in range(2)]
        while not all(mark.exists() for mark in marks):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=when_both_run, daemon=True).start()
    assert sweep("--jobs", "2", overs=["train.seed = 0..2"]) == 75
    found = capsys.readouterr()
    assert "stopping: waiting for 2 runs to save" in found.out
    assert "seed=2" not in found.out
    assert (
        "stopped by SIGINT; finished: 0 of 3 runs, left: 3; the same command goes on"
        in found.err
    )
    for seed in range(2):
        log = sweep.folder / "logs" / f"seed={seed}.log"
        assert log.read_text().endswith("saved\n")


def test_print_only_writes_the_commands(sweep, capsys):
    assert sweep("--print", "--data-dir", "a b") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [shlex.split(line) for line in lines] == [
        [
            *("sslkit", "train", "--gin", RECIPE),
            *("--set", f"objectives.fnc.topk = {topk}"),
            *("--set", f"train.seed = {seed}"),
            *(
                "--data-dir",
                "a b",
                "--workdir",
                f"{sweep.folder}/topk={topk},seed={seed}",
            ),
        ]
        for topk in (5, 10)
        for seed in (0, 1)
    ]
    assert not sweep.folder.exists()


def test_stages_are_done_when_all_are(sweep, capsys):
    words = ("--gin", "gin/fnc_digits_full.gin", "--workdir", str(sweep.folder))
    over = ("--over", "pretrain/train.seed = [1]")
    assert main(["sweep", *words, *over]) == 0
    # The fake command writes a run's files directly into the folder, not a stage's.
    assert main(["sweep", *words, *over]) == 0
    assert capsys.readouterr().out.count("seed=1, 1 of 1: started") == 2


@pytest.mark.parametrize(
    ("words", "overs", "message"),
    [
        ((), ["train.sed = [1]"], "in the run sed=1: train has no parameter 'sed'"),
        ((), ["train.epochs = [1, 'x']"], "in the run epochs=x: train.epochs is 'x'"),
        ((), ["idle = [1]"], "in the run idle=1: --set 'idle = 1' has no effect"),
        (
            ("--set", "train.seed = 3"),
            ["train.seed = [1]"],
            "train.seed is set by --set and by --over",
        ),
        (
            ("--set", "train.steps = 3"),
            ["train.epochs = [1, 2]"],
            "in the run epochs=1: --set 'train.epochs = 1' has no effect: train.steps",
        ),
        (("--jobs", "0"), ["train.seed = [1]"], "--jobs is 0; give 1 or more"),
        (
            ("--workdir", "gs://bucket/s"),
            ["train.seed = [1]"],
            "is in a bucket, where a sweep cannot see which runs are finished. Add",
        ),
        (
            (),
            ["train.seed = 0..999", "train.epochs = 1..999"],
            "--over makes 999,000 runs; at most 10,000 are allowed",
        ),
    ],
)
def test_mistakes_are_refused_before_a_run_starts(sweep, capsys, words, overs, message):
    assert sweep(*words, overs=overs) == 2
    assert message in capsys.readouterr().err
    assert not sweep.folder.exists()


def test_the_folder_of_another_run_is_refused(sweep, capsys):
    own = ["train.seed = 1", "objectives.fnc.topk = 10", "train.epochs = 7"]
    other = read([RECIPE], own)
    folder = sweep.folder / "topk=10,seed=1"
    folder.mkdir(parents=True)
    (folder / "config.gin").write_text(other.render())
    assert sweep() == 2
    err = capsys.readouterr().err
    assert f"{folder} belongs to another run (train.epochs: 7 there, 20 here)" in err
    (sweep.folder / "config.gin").write_text(other.render())
    assert sweep() == 2
    assert f"{sweep.folder} is the folder of a single run" in capsys.readouterr().err


def test_a_log_that_cannot_be_written_fails_only_its_run(sweep, capsys):
    (sweep.folder / "logs" / "seed=0.log").mkdir(parents=True)
    assert sweep(overs=["train.seed = 0..1"]) == 1
    out = capsys.readouterr().out
    assert "seed=0: exit code 126: cannot be run: Is a directory" in out
    assert "finished: 1 of 2 runs" in out
