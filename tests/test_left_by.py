"""This version reads runs of earlier versions.

`tests/left_by/<version>/` has workdirs that were written by that version. They must not
be changed. Renaming a layer or a slot fails here, because these checkpoints would be
lost.
"""

from __future__ import annotations

import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from sslkit.checkpoints import Checkpoints, find_checkpoint, read_note
from sslkit.runs import load_encoder, reopen

LEFT = pathlib.Path(__file__).parent / "left_by"
WORKDIRS = sorted(LEFT.glob("*/*"))
FEATURES = [0.1460275799036026, 0.0908999890089035, 0.1135355681180954]


@pytest.mark.parametrize("left", WORKDIRS, ids=lambda path: f"{path.parts[-2:]}")
def test_is_opened_and_restored(left, tmp_path, capsys):
    folder = str(shutil.copytree(left, tmp_path / "run"))
    run = reopen(folder)
    latest = find_checkpoint(folder)
    assert run.training.load(run.workdir) == run.training.steps
    assert "damaged" not in capsys.readouterr().out
    saved = tf.train.load_checkpoint(latest)
    table = run.training.state.table
    assert set(table) == set(saved.get_variable_to_shape_map())
    for name, variable in table.items():
        np.testing.assert_array_equal(variable.numpy(), saved.get_tensor(name))
    assert run.workdir.data()["steps"] == run.training.steps


def test_gives_its_encoder():
    encoder = load_encoder(LEFT / "0.1" / "fnc")
    pixels = np.linspace(0, 1, 16 * 16 * 3, dtype=np.float32).reshape(1, 16, 16, 3)
    # Computed by 0.1.
    np.testing.assert_allclose(encoder(pixels)[0], FEATURES, rtol=1e-4, atol=1e-6)


def test_keeps_what_was_seen_since_its_last_line():
    first, last = Checkpoints(str(LEFT / "0.1" / "fnc" / "checkpoints")).prefixes()
    assert read_note(first)["count"] == 2
    assert read_note(last) == {}


@pytest.mark.slow
def test_goes_on_to_where_it_got_then(tmp_path, monkeypatch, repository):
    """Weights up to rounding, which differs between processors."""
    monkeypatch.chdir(repository)
    folder = tmp_path / "run"
    shutil.copytree(LEFT / "0.1" / "fnc", folder)
    wanted = tf.train.load_checkpoint(str(folder / "checkpoints" / "step_00000003"))
    for file in (folder / "checkpoints").glob("step_00000003.*"):
        file.unlink()
    run = reopen(str(folder))
    run.training.run(run.workdir)
    for name, variable in run.training.state.table.items():
        np.testing.assert_allclose(
            variable.numpy(), wanted.get_tensor(name), rtol=1e-4, atol=1e-5
        )
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    then = (LEFT / "0.1" / "fnc" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["loss"] == pytest.approx(json.loads(then[-1])["loss"])
