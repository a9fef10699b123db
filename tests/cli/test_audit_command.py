"""`sslkit audit` of whole runs: with detection, of another method, without labels."""

from __future__ import annotations

import contextlib
import io
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from sslkit.cli.main import main

SMALL = (
    "backbones.convnet.filters = (8, 16, 32)",
    "train.batch_size = 32",
    "train.steps = 60",
    "train.checkpoint_every = 30",
    "train.knn_every = 0",
    "evaluate.train_limit = 300",
)


def run(*words: str, settings: tuple[str, ...] = ()) -> str:
    """Runs a command that must succeed, and returns what it prints."""
    out, err = io.StringIO(), io.StringIO()
    given = [word for setting in settings for word in ("--set", setting)]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*words, *given])
    assert code == 0, err.getvalue()
    return out.getvalue()


def trained(method: str, workdir: pathlib.Path, *settings: str) -> str:
    return run(
        *("train", "--gin", f"gin/{method}_digits_pretrain.gin"),
        *("--workdir", str(workdir)),
        settings=(*SMALL, *settings),
    )


def audited(workdir: pathlib.Path) -> tuple[str, dict]:
    said = run("audit", str(workdir), "--images", "128")
    return said, json.loads((workdir / "audit.json").read_text())


@pytest.mark.slow
def test_an_audit_finds_what_the_run_itself_recorded(tmp_path):
    trained("fnc", tmp_path / "run", "objectives.fnc.measure_detection = True")
    said, audit = audited(tmp_path / "run")
    assert audit["labels"] and audit["own_policy"]
    assert "precision: " in said and "stability: " in said
    choice = audit["choice"]
    assert 2 * audit["chance_precision"] < choice["precision"] < 1
    assert 0 < choice["recall"] <= audit["oracle"]["recall"] <= 1
    assert [row["step"] for row in audit["over_training"]] == [30, 60]
    recorded = audit["recorded"][-1]
    assert abs(recorded["precision"] - choice["precision"]) < 0.15
    pictures = [gallery["file"] for gallery in audit["gallery"]]
    for name in [audit["curves"], *pictures]:
        with Image.open(tmp_path / "run" / name) as picture:
            assert min(picture.size) > 100
    page = run("report", str(tmp_path / "run"), "--to", str(tmp_path / "page.html"))
    assert "page.html" in page
    assert "Audit" in (tmp_path / "page.html").read_text()


@pytest.mark.slow
def test_a_run_without_detection_is_asked_for_its_nearest_views(tmp_path):
    said = trained("simclr", tmp_path / "run")
    assert f"next: sslkit audit {tmp_path / 'run'}" in said
    said, audit = audited(tmp_path / "run")
    assert not audit["own_policy"] and audit["recorded"] == []
    assert audit["choice"]["found_per_image"] == 10
    assert audit["choice"]["precision"] > 1.2 * audit["chance_precision"]


@pytest.mark.slow
def test_photographs_without_labels_have_pictures_and_stability(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(120):
        # Broad stripes, so that images differ in more than noise.
        tile = rng.integers(0, 256, [4, 4, 3], dtype=np.uint8)
        Image.fromarray(tile).resize((32, 32)).save(folder / f"{number:03}.png")
    trained(
        *("fnc", tmp_path / "run", f"data.name = 'folder:{folder}'"),
        *("train.steps = 20", "train.checkpoint_every = 10"),
    )
    said, audit = audited(tmp_path / "run")
    assert not audit["labels"] and "stability: " in said
    assert audit["choice"]["precision"] is None
    assert audit["gallery"] and audit["gallery"][0]["rows"]
    shown = audit["gallery"][0]["rows"][0]
    assert shown["anchor"]["file"].endswith(".png")
    assert all(one["right"] is None for one in shown["candidates"])
