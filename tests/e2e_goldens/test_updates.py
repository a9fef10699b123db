"""Every update of every published FNC run, by itself; `replay` says how."""

from __future__ import annotations

import numpy as np
import pytest
from e2e_goldens.replay import NORM, Replay
from step_by_step import EXACT, ROUNDED, check_exact

RUNS = ["traj_fnc_nomem", "traj_fnc_mem4", "traj_fnc_mem10", "traj_fnc_mem4_f64"]


def beyond_replay(name):
    """Whether a variable moves by what only the whole encoder knows."""
    if name.endswith("nl_2/dense/kernel"):
        return True
    return "/moving_" in name and NORM not in name


@pytest.mark.parametrize("name", RUNS)
def test_every_update_is_the_published_one(golden, name):
    """Loss, false negatives, bank, momentum encoder, slots, weights, learning rate."""
    replay = Replay(golden / "e2e", name)
    recording, truth = replay.recording, replay.recording.arrays
    exact = name.endswith("_f64")

    def check(ours, recorded, what):
        check_exact(
            ours,
            recorded,
            f"{what} of update {index}",
            within=EXACT if exact else ROUNDED,
        )

    if "memory_updated" in truth:
        new, held = (truth[kind].shape[1] for kind in ("hidden_ema", "memory_updated"))
        assert new * 10 > held, "the bank is never overwritten"
    compared = set()
    for index in range(10):
        metrics = replay.step(index)
        assert metrics["false_negatives"] == recording.false_negatives(index)
        check(metrics["loss"], truth["loss"][index], "loss")
        check(metrics["learning_rate"], truth["lr"][index], "learning rate")
        for weight, recorded in recording.variables(index).items():
            if not beyond_replay(weight):
                check(replay.named[weight].numpy(), recorded, weight)
                compared.add(f"var/{weight}")
        compared |= {"loss", "lr"}
        if "memory_updated" in truth:
            bank = replay.named["memory/memory"].numpy()
            check(bank, truth["memory_updated"][index], "bank")
            new = truth["hidden_ema"][index]
            check(bank[: len(new)], new, "embeddings")
            compared |= {"memory_updated", "hidden_ema"}
        if exact:
            # A column's variance is told by how far it is from 1 afterwards, of which
            # float32 has two digits.
            variance = f"{NORM}moving_variance"
            place = recording.about["var_names"].index(variance)
            check(
                np.linalg.norm(replay.named[variance].numpy()),
                truth["norms"][index][place],
                variance,
            )
    # `hidden` and the lengths of gradients go in; the rest needs the encoder. The L2
    # loss is 0 in pretraining.
    rest = {key for key in truth if key.startswith("var/") and beyond_replay(key)}
    rest |= {key for key in truth if key.startswith("final_sample/")}
    assert compared | rest | {"hidden", "grad_norms", "norms", "reg"} == set(truth)
    assert not compared & rest
