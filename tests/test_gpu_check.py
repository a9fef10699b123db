"""`benchmarks/gpu.py`: its table; that its parts run takes minutes."""

from __future__ import annotations

import importlib.util
import json

import pytest


@pytest.fixture(scope="module")
def gpu(repository):
    path = repository / "benchmarks" / "gpu.py"
    spec = importlib.util.spec_from_file_location("gpu", path)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        # As if Python had started it: its other files are in the same folder.
        patch.syspath_prepend(path.parent)
        spec.loader.exec_module(module)
    return module


def test_what_is_not_started_in_time_says_so(gpu, capsys, tmp_path):
    out = tmp_path / "rows"
    arguments = ["--size", "toy", "--limit", "-1", "--out", str(out)]
    assert gpu.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    names = ["steps", "command", "resume", "accuracy"]
    assert [line.split()[0] for line in lines[:5]] == ["what", *names]
    assert all("not started: no time was left" in line for line in lines[1:5])
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["name"] for row in rows] == names


def test_a_row_compares_two_rates_or_says_why_it_does_not(gpu):
    rates = {
        "ours": {"first_seconds": 1.0, "views_per_second": 3000.0},
        "plain": {"first_seconds": 1.0, "views_per_second": 2000.0},
        "torch": {"missing": "torch"},
        "broken": {"error": "out of memory"},
    }
    row = gpu.compared(rates, "ours", "plain")
    assert row.ratio == 1.5
    assert (row.ours, row.against) == ("3,000 views/s", "2,000 views/s")
    assert gpu.compared(rates, "ours", "torch").note == (
        "torch: torch is not installed"
    )
    assert gpu.compared(rates, "ours", "broken").note == "broken: out of memory"
    assert "no time was left" in gpu.compared(rates, "ours", "later").note


@pytest.mark.slow
def test_every_case_of_a_step_runs(gpu, tmp_path):
    check = gpu.Check(gpu.SIZES["toy"], tmp_path, None, float("inf"))
    rows = {row.name: row for row in check.steps()}
    ours = "ours:resnet18:bfloat16"
    assert rows[f"{ours} / plain:resnet18:bfloat16"].ratio > 0
    assert rows[f"{ours} / fnc:resnet18:bfloat16"].ratio > 0
    assert rows[f"{ours} / ours:resnet18:float32"].ratio > 0


@pytest.mark.slow
def test_accuracy_is_compared_by_protocol(gpu, tmp_path):
    rows = list(gpu.Check(gpu.SIZES["toy"], tmp_path, None, float("inf")).accuracy())
    assert any(row.name.startswith("linear") for row in rows)
    assert all(row.ratio > 0 for row in rows)
