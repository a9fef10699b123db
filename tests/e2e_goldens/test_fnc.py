"""Training runs of FNC, encoder and all, against those of the published implementation.

`step_by_step` says how, and why not by the float32 runs alone. What does not need the
encoder is in `test_updates`, which sees every update of every run.
"""

from __future__ import annotations

import numpy as np
import pytest
from e2e_goldens.trajectory import Recording, Run
from step_by_step import LOSS, UPDATE, Beside, check_exact

# Half a unit in the last place, below which nobody is farther than anybody.
ROUNDING = 2.0**-24
# What `hidden_ema` and `memory_updated` hold are unit vectors; float32 ones, after 21
# layers.
UNIT = 2e-4


def check_update(run, metrics, index, *, unknown=frozenset()):
    """Compares all that was recorded of an update with a float64 run of ours.

    Args:
        run: has made the update.
        metrics: that it returned.
        index: of the update.
        unknown: variables that were not as they should be before it.
    """
    recording, truth = run.recording, run.recording.arrays
    assert metrics["false_negatives"] == recording.false_negatives(index)
    check_exact(metrics["learning_rate"], truth["lr"][index], "learning rate")
    check_exact(metrics["loss"], truth["loss"][index], "loss")
    # Weight decay is the optimizer's.
    assert truth["reg"][index] == 0
    check_exact(
        metrics["gradient_norm"], np.linalg.norm(truth["grad_norms"][index]), "gradient"
    )
    check_exact(run.hidden.numpy(), truth["hidden"][index], "hidden")
    bank = run.named["memory/memory"].numpy()
    check_exact(bank, truth["memory_updated"][index], "bank")
    new = truth["hidden_ema"][index]
    check_exact(bank[: len(new)], new, "hidden_ema")
    lengths = zip(recording.about["var_names"], truth["norms"][index], strict=True)
    ours = run.norms()
    for name, theirs in lengths:
        if name not in unknown:
            check_exact(ours[name], theirs, name)
    recorded = recording.variables(index)
    for name, theirs in recorded.items():
        check_exact(run.named[name].numpy(), theirs, name)
    compared = {
        *("loss", "lr", "reg", "grad_norms", "norms"),
        *("hidden", "hidden_ema", "memory_updated"),
        *(f"var/{name}" for name in recorded),
    }
    # Two kernels were recorded after the first and the last update alone.
    rare = {name for name, values in truth.items() if len(values) == 2}
    final = {f"final_sample/{name}" for name in recording.about["var_names"]}
    assert compared | rare | final == set(truth)


@pytest.mark.slow
def test_first_update_in_float64_is_the_published_one(golden):
    """Loss, bank, momentum encoder, slots and weights, after the first that moves."""
    run = Run(golden / "e2e", "traj_fnc_mem4_f64", dtype="float64")
    run.skip_the_first()
    known = {name for name in run.recording.variables(0) if "/moving_" in name}
    statistics = {name for name in run.named if "/moving_" in name}
    check_update(run, run.step(1), 1, unknown=statistics - known)


@pytest.mark.slow
def test_float64_run_is_the_published_one(golden):
    """All of that and moving statistics, over ten updates."""
    run = Run(golden / "e2e", "traj_fnc_mem4_f64", dtype="float64")
    for index in range(10):
        check_update(run, run.step(index), index)
    for name in run.recording.about["var_names"]:
        value = run.named[name].numpy().ravel()
        sample = value[:: max(1, value.size // 61)]
        check_exact(sample, run.recording.arrays[f"final_sample/{name}"], name)


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
        np.testing.assert_allclose(banks[1], banks[0], atol=UNIT)


def distance(ours, truth):
    length = np.linalg.norm(truth)
    return np.linalg.norm(np.float64(ours) - truth) / length if length else 0.0


# Of the updates from the first that moves anything until rounding decides which false
# negatives fire. From there on float32 runs have nothing to do with each other.
@pytest.mark.parametrize("last", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_float32_update_is_no_farther_from_the_truth_than_the_published_one(
    golden, last
):
    """Compares distances to the published float64 run: ours, and the float32 run's.

    Which of the two is nearer is a matter of luck for any one variable; so the mean of
    the ratio counts, over all that was recorded.
    """
    run = Run(golden / "e2e", "traj_fnc_mem4")
    exact = Recording(golden / "e2e", "traj_fnc_mem4_f64")
    run.skip_the_first()
    for index in range(1, last + 1):
        metrics = run.step(index)
        assert metrics["false_negatives"] == run.recording.false_negatives(index)
        published, truth = (everything(r, index) for r in (run.recording, exact))
        ours = {
            name: run.named[name].numpy() for name in run.recording.variables(index)
        }
        ours |= {"loss": metrics["loss"], "hidden": run.hidden.numpy()}
        assert set(ours) == set(published) == set(truth)
        ratios = []
        for name in published:
            own, theirs = (distance(x[name], truth[name]) for x in (ours, published))
            ratios.append((own + ROUNDING) / (theirs + ROUNDING))
        mean = np.exp(np.mean(np.log(ratios)))
        assert mean <= 1, f"{mean} times as far after update {index}"


def everything(recording, index):
    single = {name: recording.arrays[name][index] for name in ("loss", "hidden")}
    return recording.variables(index) | single


@pytest.mark.parametrize(
    "name",
    ["traj_fnc_nomem", pytest.param("traj_fnc_mem10", marks=pytest.mark.slow)],
)
def test_first_update_in_float32_is_the_published_one(golden, name):
    run = Run(golden / "e2e", name)
    run.skip_the_first()
    metrics, recording = run.step(1), run.recording
    np.testing.assert_allclose(
        metrics["learning_rate"], recording.arrays["lr"][1], rtol=1e-6
    )
    np.testing.assert_allclose(metrics["loss"], recording.arrays["loss"][1], rtol=LOSS)
    assert metrics["false_negatives"] == recording.false_negatives(1)
    if run.state.objective.bank is not None:
        np.testing.assert_allclose(
            run.named["memory/memory"].numpy(),
            recording.arrays["memory_updated"][1],
            atol=UNIT,
        )
    moved = missed = 0.0
    for weight, theirs in recording.variables(1).items():
        if "/moving_" not in weight:
            before = recording.before(weight, 1)
            moved += np.sum((theirs - before) ** 2)
            missed += np.sum((np.float64(run.named[weight].numpy()) - theirs) ** 2)
    assert missed <= UPDATE**2 * moved, f"{(missed / moved) ** 0.5} of the update"
