"""The documents' commands exist and resolve; CI runs the README's first two."""

from __future__ import annotations

import argparse
import pathlib
import re
import shlex

import pytest

from sslkit.cli.main import COMMANDS, main
from sslkit.cli.stages import read_all

REPOSITORY = pathlib.Path(__file__).parent.parent
TEXT = (REPOSITORY / "README.md").read_text()
COMMANDS_IN = TEXT + (REPOSITORY / "docs" / "tpu.md").read_text()
CALLS = [
    shlex.split(call)[1:]
    for block in re.findall(r"^```\n(.*?)^```", COMMANDS_IN, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
    for call in line.split(" && ")
    if call.startswith("sslkit ")
]


def values(call: list[str], option: str) -> list[str]:
    return [call[i + 1] for i, word in enumerate(call[:-1]) if word == option]


def test_every_kind_of_run_is_shown():
    assert {"train", "evaluate", "export"} <= {call[0] for call in CALLS}


@pytest.mark.parametrize("call", CALLS, ids=" ".join)
def test_command_resolves(call, monkeypatch, capsys):
    monkeypatch.chdir(REPOSITORY)
    assert call[0] in COMMANDS
    with pytest.raises(SystemExit) as caught:
        main([*call, "--help"])
    assert caught.value.code == 0
    usage = capsys.readouterr().out
    assert all(word in usage for word in call if word.startswith("--"))
    if values(call, "--gin"):
        given = argparse.Namespace(
            gin=values(call, "--gin"),
            set=values(call, "--set"),
            stage=(values(call, "--stage") or [None])[0],
            data_dir=None,
        )
        assert read_all(given, workdir="W")


def test_files_it_names_are_there():
    named = re.findall(r"\]\(([^)#:]+)\)", TEXT) + re.findall(
        r"`(gin/[^A-Z\s]+\.gin)`", TEXT
    )
    assert len(named) > 5
    for name in named:
        assert (REPOSITORY / name).exists(), name


def test_the_objective_it_shows_is_a_whole_one(tmp_path):
    import tensorflow as tf

    from sslkit.api import Batch, Views
    from sslkit.nn import ConvNet

    (code,) = (
        block
        for block in re.findall(
            r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE
        )
        if "class Mine" in block
    )
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    objective = names["Mine"](lambda name: ConvNet(filters=(4,), name=name))
    views = {"instance": tf.random.stateless_uniform([2, 4, 8, 8, 3], seed=[0, 1])}
    batch = Batch(Views.of(views).stacks, tf.zeros([4], tf.int32))
    assert float(objective(batch, step=tf.constant(0, tf.int64)).loss) > 0


def test_the_training_it_shows_trains(tmp_path, monkeypatch, capsys):
    (code,) = (
        block
        for block in re.findall(
            r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE
        )
        if "sslkit.train(" in block
    )
    monkeypatch.chdir(tmp_path)
    # The same but shorter: one update of a narrow network.
    small = "['train.steps = 1', 'backbones.convnet.filters = (4,)', "
    small += "'train.batch_size = 8', 'augmentations.fnc.strength = 0', "
    small += "'augmentations.fnc.randaugment_layers = 0', "
    small += "'evaluate.train_limit = 50', 'evaluate.linear = False', "
    code = code.replace("set=[", f"set={small}")
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "1 True" in printed
    assert "kNN (k=20, T=0.07) 0." in printed
    assert (tmp_path / "runs" / "from_python" / "result.json").exists()
