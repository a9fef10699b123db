"""Training runs of FNC against those of the published implementation.

`step_by_step` says how, and why not by the float32 runs alone.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from e2e_goldens.trajectory import Run, load
from step_by_step import LOSS, Beside, check_exact

# Updates until rounding decides which false negatives fire. From there on float32 runs
# have nothing to do with each other.
TOGETHER = 3
# Half a unit in the last place, below which nobody is farther than anybody.
ROUNDING = 2.0**-24


def variables(record, index):
    """Yields the name and value of each variable that was recorded after an update."""
    for key, values in record.items():
        # Large variables were recorded after the first and the last update alone.
        place = {0: 0, 9: 1}.get(index) if len(values) == 2 else index
        if key.startswith("var/") and place is not None:
            yield key.removeprefix("var/"), values[place]


@pytest.mark.parametrize("updates", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_float64_run_is_the_published_one(golden, updates):
    """Loss, bank, momentum encoder, statistics, slots and weights, at every update."""
    run = Run(golden / "e2e", "traj_fnc_mem4", dtype="float64")
    truth = load(golden / "e2e/traj_fnc_mem4_f64.npz")
    about = json.loads((golden / "e2e/traj_fnc_mem4_f64.json").read_text())
    for index in range(updates):
        metrics = run.step(index)
        assert metrics["false_negatives"] == about["fn"][index]["fn_per_sample"]
        check_exact(metrics["learning_rate"], truth["lr"][index], "learning rate")
        check_exact(metrics["loss"], truth["loss"][index], "loss")
        gradient = np.linalg.norm(truth["grad_norms"][index])
        check_exact(metrics["gradient_norm"], gradient, "gradient")
        lengths = zip(
            about["var_names"], run.norms(), truth["norms"][index], strict=True
        )
        for name, ours, theirs in lengths:
            check_exact(ours, theirs, name)
        compared = 0
        for name, theirs in variables(truth, index):
            check_exact(run.named[name].numpy(), theirs, name)
            compared += 1
        assert compared > 20


@pytest.mark.slow
def test_every_float32_step_is_the_float64_step(golden):
    exact, rounded = (
        Run(golden / "e2e", "traj_fnc_mem4", dtype=dtype)
        for dtype in ("float64", "float32")
    )
    for index in range(10):
        beside = Beside(exact.state, rounded.state)
        found = [run.step(index) for run in (exact, rounded)]
        assert found[0]["false_negatives"] == found[1]["false_negatives"]
        beside.check(*found)
        banks = [run.named["memory/memory"].numpy() for run in (exact, rounded)]
        # Unit vectors, after 21 layers of float32.
        np.testing.assert_allclose(banks[1], banks[0], atol=2e-4)


def distance(ours, truth):
    length = np.linalg.norm(truth)
    return np.linalg.norm(np.float64(ours) - truth) / length if length else 0.0


def check_no_farther(run, loss, truth, index):
    """Compares distances to the truth: ours, and that of the published float32 run.

    Which of the two is nearer is a matter of luck for any one variable; so the mean of
    the ratio counts, over all that was recorded.
    """
    ratios = []
    recorded = {"loss": run.recorded["loss"][index]}
    for name, published in (recorded | dict(variables(run.recorded, index))).items():
        value = loss if name == "loss" else run.named[name].numpy()
        ours, theirs = (distance(x, truth[name]) for x in (value, published))
        ratios.append((ours + ROUNDING) / (theirs + ROUNDING))
    assert len(ratios) > 10
    mean = np.exp(np.mean(np.log(ratios)))
    assert mean <= 1, f"{mean} times as far after update {index}"


def test_float32_run_is_no_farther_from_the_truth_than_the_published_one(golden):
    run = Run(golden / "e2e", "traj_fnc_mem4")
    truth = load(golden / "e2e/traj_fnc_mem4_f64.npz")
    for index in range(TOGETHER):
        metrics = run.step(index)
        assert metrics["false_negatives"] == run.about["fn"][index]["fn_per_sample"]
        exact = {"loss": truth["loss"][index], **dict(variables(truth, index))}
        check_no_farther(run, metrics["loss"], exact, index)


@pytest.mark.parametrize(
    "name",
    ["traj_fnc_nomem", pytest.param("traj_fnc_mem10", marks=pytest.mark.slow)],
)
def test_starts_as_the_published_float32_run(golden, name):
    """The first learning rate is 0, so two losses are of the recorded weights."""
    run = Run(golden / "e2e", name)
    for index in range(2):
        metrics = run.step(index)
        published = {key: run.recorded[key][index] for key in ("lr", "loss")}
        np.testing.assert_allclose(metrics["learning_rate"], published["lr"], rtol=1e-6)
        np.testing.assert_allclose(metrics["loss"], published["loss"], rtol=LOSS)
        assert metrics["false_negatives"] == run.about["fn"][index]["fn_per_sample"]
        if index == 0 and "memory/memory" in run.named:
            # Unit vectors, after 21 layers of float32.
            np.testing.assert_allclose(
                run.named["memory/memory"].numpy(),
                run.recorded["var/memory/memory"][0],
                atol=2e-4,
            )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["traj_fnc_nomem", "traj_fnc_mem10"])
def test_is_no_farther_where_our_own_float64_run_is_the_truth(golden, name):
    exact, rounded = (
        Run(golden / "e2e", name, dtype=dtype) for dtype in ("float64", "float32")
    )
    for index in range(TOGETHER):
        losses = [run.step(index)["loss"] for run in (exact, rounded)]
        truth = {name: variable.numpy() for name, variable in exact.named.items()}
        truth["loss"] = losses[0]
        check_no_farther(rounded, losses[1], truth, index)
