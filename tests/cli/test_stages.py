"""A recipe of several stages, from the command line."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from sslkit.claims import born
from sslkit.cli import stages
from sslkit.cli.main import main
from sslkit.errors import Stopped

RECIPE = "gin/fnc_digits_full.gin"
SMALL = [
    "train.steps = 2",
    "train.batch_size = 16",
    "train.knn_every = 0",
    "backbones.convnet.filters = (4, 8)",
    "objectives.fnc.projection_dim = 8",
    # Operations on colours take 5 s to compile.
    "augmentations.fnc.randaugment_layers = 0",
    "augmentations.fnc.strength = 0",
    "evaluate.train_limit = 100",
    "evaluate.test_limit = 50",
    "evaluate.baselines = False",
]


def arguments(*words, settings=()):
    return [*words, *(word for setting in settings for word in ("--set", setting))]


def run_here(command):
    """Runs a stage in this process; tests/cli/test_full_recipe.py starts one each."""
    # Without -P, files in the current folder would be imported as modules.
    assert command[:4] == [sys.executable, "-P", "-m", "sslkit"]
    return main(command[4:])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Both stages, run for two steps, and what was printed."""
    workdir = tmp_path_factory.mktemp("stages")
    words = ["train", "--gin", RECIPE, "--workdir", str(workdir)]
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(stages, "_run", run_here)
        assert main(arguments(*words, settings=SMALL)) == 0
    return workdir, out.getvalue()


@pytest.fixture
def colour_photographs(tmp_path):
    """Two classes of twelve one-coloured images."""
    random = np.random.default_rng(0)
    for channel, name in enumerate(("red", "green")):
        folder = tmp_path / "photographs" / name
        folder.mkdir(parents=True)
        for number in range(12):
            pixels = random.integers(0, 99, [16, 16, 3], np.uint8)
            pixels[..., channel] += 120
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "photographs"


def test_each_stage_has_a_workdir_and_starts_from_the_first(trained):
    workdir, printed = trained
    assert (
        f"stage pretrain, 1 of 2: gin/fnc_digits_pretrain.gin in {workdir}" in printed
    )
    assert f"from {workdir}/pretrain/checkpoints/step_00000002" in printed
    assert "all stages are finished: pretrain, linear" in printed
    for stage in ("pretrain", "linear"):
        result = json.loads((workdir / stage / "result_2.json").read_text())
        assert result == json.loads((workdir / stage / "result.json").read_text())
        assert all(row["protocol"] for row in result["rows"])


def test_a_stage_is_evaluated_alone(trained, capsys):
    workdir, _ = trained
    (workdir / "linear" / "result_2.json").unlink()
    words = ["train", "--gin", RECIPE, "--workdir", str(workdir), "--stage", "linear"]
    assert main(arguments(*words, "--mode", "evaluate", settings=SMALL)) == 0
    assert f"step 2 of {workdir}/linear" in capsys.readouterr().out
    assert (workdir / "linear" / "result_2.json").exists()


def test_following_a_finished_run_measures_the_remaining_checkpoints(trained, capsys):
    workdir, _ = trained
    (workdir / "pretrain" / "result_2.json").unlink()
    words = ["evaluate", "--workdir", str(workdir / "pretrain"), "--follow"]
    assert main(words) == 0
    assert "step 2 of" in capsys.readouterr().out
    assert (workdir / "pretrain" / "result_2.json").exists()
    assert main(words) == 0
    assert "step 2 of" not in capsys.readouterr().out


def test_transfer_is_one_command_and_another_result(trained, colour_photographs):
    workdir, _ = trained
    data = f"folder:{colour_photographs}"
    before = (workdir / "linear" / "result.json").read_text()
    # The classifier of ten digits has nothing to say of the folder's two classes.
    words = ["evaluate", "--workdir", str(workdir / "linear"), "--data", data]
    assert main(words) == 0
    assert (workdir / "linear" / "result.json").read_text() == before
    (path,) = (workdir / "linear").glob("result_2_folder_*.json")
    result = json.loads(path.read_text())
    assert result["data"] == data
    assert not any("classifier" in row["protocol"] for row in result["rows"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--stage", "lin"], "there is no stage 'lin'. Did you mean 'linear'?"),
        (["--set", "linear/train.epoch = 1"], "train has no parameter 'epoch'"),
        (["--set", "augmentations.simclr.size = 1"], "has no effect"),
    ],
)
def test_a_mistake_in_any_stage_is_found_before_the_first_starts(
    words, message, tmp_path, capsys
):
    assert main(["train", "--gin", RECIPE, "--workdir", str(tmp_path), *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_after_a_stage_that_fails_no_other_starts(monkeypatch, tmp_path, capsys):
    ran = []

    def command(args, stage):
        ran.append(stage)
        return [sys.executable, "-c", "raise SystemExit(2)"]

    monkeypatch.setattr(stages, "_command", command)
    words = ["train", "--gin", RECIPE, "--workdir", str(tmp_path)]
    assert main(words) == 2
    assert ran == ["pretrain"]
    assert "stage pretrain ended with exit code 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("ending", "outcome"),
    [
        ("sys.exit(75)", 75),
        # It came in the last moment: the stage is through, and no other begins.
        ("None", "stopped by SIGTERM between two stages"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137),
    ],
)
def test_a_signal_reaches_the_running_stage(ending, outcome):
    # The stage asks for the signal itself, so the test need not guess when it is ready.
    stage = (
        "import os, signal, sys\n"
        # Held back until it is waited for: it may come at once.
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
        "os.kill(os.getppid(), signal.SIGTERM)\n"
        "signal.sigwait([signal.SIGTERM])\n"
        f"{ending}\n"
    )
    before = signal.getsignal(signal.SIGTERM)
    command = [sys.executable, "-c", stage]
    if isinstance(outcome, int):
        assert stages._run(command) == outcome
    else:
        with pytest.raises(Stopped, match=outcome):
            stages._run(command)
    assert signal.getsignal(signal.SIGTERM) == before


def test_after_a_signal_between_two_stages_no_other_starts(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(
        stages, "_run", lambda command: signal.raise_signal(signal.SIGTERM)
    )
    words = ["train", "--gin", RECIPE, "--workdir", str(tmp_path)]
    assert main(words) == 75
    assert capsys.readouterr().err == (
        "sslkit: stopped by SIGTERM; the same command goes on from there\n"
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone does it")
def test_a_stage_ends_with_the_process_that_runs_the_stages(tmp_path):
    """If it is killed without a warning, the stage's folder is not in use any more."""
    stage = (
        "import os, pathlib, sys, time\n"
        "from sslkit.cli.stages import end_with_chain\n"
        "end_with_chain()\n"
        f"pathlib.Path({str(tmp_path / 'x')!r}).write_text(str(os.getpid()))\n"
        f"os.rename({str(tmp_path / 'x')!r}, {str(tmp_path / 'stage')!r})\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", stage]
    chain = f"from sslkit.cli import stages; stages._run({command!r})"
    with subprocess.Popen([sys.executable, "-c", chain]) as process:
        while not (tmp_path / "stage").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    pid = int((tmp_path / "stage").read_text())
    while born(pid) is not None:
        time.sleep(0.01)


def test_a_stage_whose_parent_process_has_ended_does_not_start(monkeypatch):
    monkeypatch.setenv(stages.CHAIN, str(2**22 + 1))
    if sys.platform.startswith("linux"):
        # In a separate process, because the system call cannot be undone.
        code = "from sslkit.cli.stages import end_with_chain; end_with_chain()"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True
        )
        assert "Lost: the process that started this run is gone" in done.stderr
    monkeypatch.delenv(stages.CHAIN)
    stages.end_with_chain()
