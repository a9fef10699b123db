"""Linear evaluation and fine-tuning against the published runs.

`step_by_step` says how, and why not by the float32 runs alone.
"""

from __future__ import annotations

import functools
import itertools
import json

import numpy as np
import pytest
import tensorflow as tf
from nn.published import (
    classifier_names,
    encoder_names,
    projection_names,
    use_recorded_constant,
    weight,
)
from step_by_step import Beside, check_exact

from sslkit.api import Augmentation, Schedule, ViewGroup
from sslkit.data.batches import TrainingBatch
from sslkit.nn import ResNet
from sslkit.objectives.supervised import Supervised
from sslkit.optimize.lars import LARS
from sslkit.optimize.momentum import Momentum
from sslkit.optimize.schedules import WarmupCosine
from sslkit.testing.precision import precision
from sslkit.train.state import TrainState
from sslkit.train.step import TrainStep

CASES = ["linear_eval", "finetune_lars", "finetune_block2"]
# The published cross-entropy is summed up in float32 in both runs; its gradient is not.
FLOAT32 = 4 * 2.0**-24


class Fixed(Augmentation):
    """The recorded images, as they are."""

    groups = {"instance": ViewGroup(1, 32)}  # noqa: RUF012

    def __init__(self, dtype):
        self._dtype = dtype

    def example(self, image, seed):
        raise AssertionError("never called: the batches are recorded")

    def batch(self, views, *, step_seed, example_seeds):
        return {name: tf.cast(stack, self._dtype) for name, stack in views.items()}


class Recorded(Schedule):
    """The published learning rates, in the precision of the run."""

    def __init__(self, rates):
        self._rates = rates

    def rate(self, step, *, steps, batch_size, examples):
        return tf.gather(self._rates, step)


class Run:
    """One recorded run, repeated by the real training step."""

    def __init__(self, folder, case, dtype):
        self.exact = np.load(folder / f"traj_{case}_f64.npz")
        self.info = json.loads((folder / f"traj_{case}.json").read_text())
        self.flags = self.info["flags"]
        self._dtype = dtype
        self._batches = np.load(folder / "batches.npz")
        with precision(dtype):
            self._build(dtype)

    def _build(self, dtype):
        decay = self.flags["weight_decay"]
        self.lars = self.flags["optimizer"] == "lars"
        # The float64 runs kept this 0.9 in float32.
        optimizer = (
            LARS(weight_decay=decay)
            if self.lars
            else Momentum(momentum=float(np.float32(0.9)), weight_decay=decay)
        )
        augmentation = Fixed(dtype)
        self.state = TrainState(
            functools.partial(
                Supervised,
                functools.partial(ResNet, depth=18),
                classes=10,
                fine_tune_after_block=self.flags["fine_tune_after_block"],
                projection_layer=self.flags["ft_proj_selector"],
                zero_init=True,
            ),
            optimizer,
            strategy=tf.distribute.get_strategy(),
            groups=augmentation.groups,
            batch_size=16,
            seed=0,
        )
        use_recorded_constant(self.state.objective)
        self.named = named(self.state.objective)
        for name, variable in self.named.items():
            if not name.startswith("head_supervised"):
                variable.assign(weight(name, tuple(variable.shape)))
        schedule = WarmupCosine(base=self.flags["learning_rate"], scaling="sqrt")
        self._advance = tf.function(
            TrainStep(
                self.state,
                augmentation,
                optimizer,
                schedule if dtype == "float32" else Recorded(self.exact["lr"]),
                steps=64 * self.flags["train_epochs"] // 16 + 1,
                batch_size=16,
                examples=64,
                seed=0,
            )
        )

    def step(self, index):
        """Makes update `index`; returns metrics as numbers."""
        # The published run was fed what numpy divides in float32.
        images = np.float32(self._batches["images"][index][..., :3]) / np.float32(255)
        with precision(self._dtype):
            found = self._advance(
                TrainingBatch(
                    stacks={(("instance", 1),): tf.constant(images[np.newaxis])},
                    label=tf.constant(self._batches["labels"][index], tf.int32),
                    weight=tf.ones([16], self._dtype),
                    example_seeds=tf.zeros([16, 2], tf.int32),
                )
            )
        return {name: float(value) for name, value in found.items()}

    @property
    def compared(self):
        """The published variables that ours computes with, and their places."""
        used = self.flags["ft_proj_selector"]
        head = "head_contrastive_instance/nl_"
        return {
            name: place
            for place, name in enumerate(self.info["var_names"])
            if name in self.named
            and (not name.startswith(head) or int(name[len(head)]) < used)
        }

    def decayed(self):
        """Returns the squared length that the published L2 loss is of, frozen ones too.

        With LARS it is the classifier's alone; the optimizer decays the others.
        """
        return sum(
            norm(variable) ** 2
            for name, variable in self.named.items()
            if name in self.info["trainable"]
            and "batch_normalization" not in name
            and (not self.lars or name.startswith("head_supervised"))
            and (not self.lars or not name.endswith("bias"))
        )


def named(objective):
    head = objective.projection
    return dict(
        itertools.chain(
            encoder_names(objective.encoder),
            [] if head is None else projection_names(head),
            classifier_names(objective.classifier),
        )
    )


def norm(variable):
    return float(np.linalg.norm(np.asarray(variable).astype("float64")))


@pytest.mark.parametrize("updates", [2, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", CASES)
def test_follows_the_published_run(golden, case, updates):
    exact, rounded = (
        Run(golden / "e2e", case, dtype) for dtype in ("float64", "float32")
    )
    check_what_is_trained(exact)
    truth, decay = exact.exact, exact.flags["weight_decay"]
    for index in range(updates):
        beside = Beside(exact.state, rounded.state)
        decayed = exact.decayed()
        found = [run.step(index) for run in (exact, rounded)]
        beside.check(*found)

        # The published loss includes weight decay, which here is the optimizer's.
        regularisation = decay * decayed / 2
        check_exact(regularisation, truth["reg"][index], "the L2 loss")
        np.testing.assert_allclose(
            found[0]["loss"] + regularisation, truth["loss"][index], rtol=FLOAT32
        )
        # So does the published gradient: off by the length of the decay's at most.
        gradient = np.linalg.norm(truth["grad_norms"][index])
        np.testing.assert_allclose(
            found[0]["gradient_norm"],
            gradient,
            rtol=1e-9,
            atol=decay * np.sqrt(decayed),
        )
        for name, place in exact.compared.items():
            check_exact(norm(exact.named[name]), truth["norms"][index][place], name)
    if updates == 10:
        for name in exact.compared:
            value = np.asarray(exact.named[name]).ravel()
            sample = value[:: max(1, value.size // 61)]
            check_exact(sample, truth[f"final_sample/{name}"], name)


def check_what_is_trained(run):
    assert set(run.state.trainable) == {
        path
        for path, variable in run.state.table.items()
        if any(variable is run.named[name] for name in run.info["grad_names"])
    }


@pytest.mark.parametrize("case", ["linear_eval", "finetune_block2"])
def test_what_the_published_run_does_to_the_layers_that_are_not_in_use(golden, case):
    """It runs them, which moves their statistics; nothing is computed from those."""
    recorded = np.load(golden / "e2e" / f"traj_{case}.npz")
    last = "var/head_contrastive_instance/nl_2"
    for fixed in ("dense/kernel", "batch_normalization/gamma"):
        assert np.ptp(recorded[f"{last}/{fixed}"], axis=0).max() == 0
    assert np.ptp(recorded[f"{last}/batch_normalization/moving_mean"], axis=0).max() > 0
