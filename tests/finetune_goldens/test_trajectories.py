"""Linear evaluation and fine-tuning against the published runs.

`step_by_step` says how, and why not by the float32 runs alone.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf
from e2e_goldens.trajectory import Recast, Recording, load
from nn.published import (
    classifier_names,
    encoder_names,
    projection_names,
    use_recorded_constant,
    weight,
)
from step_by_step import EXACT, Beside, check_exact

from sslkit.api import Augmentation, ViewGroup
from sslkit.data.batches import TrainingBatch
from sslkit.nn import ResNet
from sslkit.objectives.supervised import Supervised
from sslkit.optimize.lars import LARS
from sslkit.optimize.momentum import Momentum
from sslkit.optimize.schedules import WarmupCosine
from sslkit.testing.precision import precision
from sslkit.training.state import TrainState
from sslkit.training.step import TrainStep

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


class Run:
    """One recorded run, repeated by the real training step.

    Attributes:
        recording: of the published float64 run.
        named: published name -> our variable, but for layers that nothing uses.
        logits: of the last update's images.
    """

    def __init__(self, folder, case, dtype):
        self.recording = Recording(folder, f"traj_{case}_f64")
        self.flags = self.recording.about["flags"]
        self._dtype = dtype
        self._batches = load(folder / "batches.npz")
        with precision(dtype):
            self._build(dtype)
        objective = self.state.objective
        head = objective.projection
        self._weights = dict(
            itertools.chain(
                encoder_names(objective.encoder),
                [] if head is None else projection_names(head),
                classifier_names(objective.classifier),
            )
        )
        for name, variable in self._weights.items():
            if not name.startswith("head_supervised"):
                variable.assign(weight(name, tuple(variable.shape)))
        self.named = self._recorded()
        classifier = objective.classifier
        classify = classifier.call

        def keep(features):
            self.logits = classify(features)
            return self.logits

        classifier.call = keep

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
        schedule = WarmupCosine(base=self.flags["learning_rate"], scaling="sqrt")
        # Called without tf.function: tracing takes longer than a few updates.
        self._advance = TrainStep(
            self.state,
            augmentation,
            optimizer,
            Recast(schedule, dtype),
            steps=64 * self.flags["train_epochs"] // 16 + 1,
            batch_size=16,
            examples=64,
            seed=0,
        )

    def _recorded(self):
        paths = {id(variable): path for path, variable in self.state.trainable.items()}
        slots = {
            f"{name}/Momentum": self.state.slots[paths[id(variable)]]["momentum"]
            for name, variable in self._weights.items()
            if id(variable) in paths
        }
        return {
            name: variable
            for name, variable in (self._weights | slots).items()
            if not self._idle(name)
        } | {"global_step": self.state.step}

    def _idle(self, name):
        """Whether it is of a layer of the head whose output nothing uses."""
        head = "head_contrastive_instance/nl_"
        used = self.flags["ft_proj_selector"]
        return name.startswith(head) and int(name[len(head)]) >= used

    @property
    def published(self):
        """The names that were recorded, less those of layers that nothing uses."""
        names = self.recording.about["var_names"]
        return [name for name in names if not self._idle(name)]

    def step(self, index):
        """Makes update `index`; returns metrics as numbers."""
        # The published run was fed what numpy divides in float32.
        images = np.float32(self._batches["images"][index][..., :3]) / np.float32(255)
        with precision(self._dtype):
            found = self._advance(
                TrainingBatch(
                    views={"instance": tf.constant(images[:, np.newaxis])},
                    label=tf.constant(self._batches["labels"][index], tf.int32),
                    example_seeds=tf.zeros([16, 2], tf.int32),
                    index=tf.range(16),
                )
            )
        return {name: float(value) for name, value in found.items()}

    def decayed(self):
        """Returns the squared length that the published L2 loss is of, frozen ones too.

        With LARS it is the classifier's alone; the optimizer decays the others.
        """
        return sum(
            norm(variable) ** 2
            for name, variable in self._weights.items()
            if name in self.recording.about["trainable"]
            and "batch_normalization" not in name
            and (not self.lars or name.startswith("head_supervised"))
            and (not self.lars or not name.endswith("bias"))
        )


def norm(variable):
    return float(np.linalg.norm(np.asarray(variable).astype("float64")))


@pytest.mark.parametrize("case", CASES)
def test_first_update_is_the_published_one(golden, case):
    exact = Run(golden / "e2e", case, "float64")
    check_what_is_trained(exact)
    decayed = exact.decayed()
    check_update(exact, exact.step(0), 0, decayed)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_follows_the_published_run(golden, case):
    exact, rounded = (
        Run(golden / "e2e", case, dtype) for dtype in ("float64", "float32")
    )
    check_what_is_trained(exact)
    for index in range(10):
        beside = Beside(exact.state, rounded.state)
        decayed = exact.decayed()
        found = [run.step(index) for run in (exact, rounded)]
        beside.check(*found)
        check_update(exact, found[0], index, decayed)
    for name in exact.published:
        value = np.asarray(exact.named[name]).ravel()
        sample = value[:: max(1, value.size // 61)]
        check_exact(sample, exact.recording.arrays[f"final_sample/{name}"], name)


def check_what_is_trained(run):
    assert set(run.named) == set(run.published)
    assert set(run.state.trainable) == {
        path
        for path, variable in run.state.table.items()
        if any(
            variable is run.named[name] for name in run.recording.about["grad_names"]
        )
    }


def check_update(run, metrics, index, decayed):
    """Compares all that was recorded of an update with a float64 run of ours."""
    recording, truth = run.recording, run.recording.arrays
    decay = run.flags["weight_decay"]
    check_exact(metrics["learning_rate"], truth["lr"][index], "learning rate")
    check_exact(run.logits, truth["logits"][index], "logits")
    # The published loss includes weight decay, which here is the optimizer's.
    regularisation = decay * decayed / 2
    check_exact(regularisation, truth["reg"][index], "the L2 loss")
    np.testing.assert_allclose(
        metrics["loss"] + regularisation, truth["loss"][index], rtol=FLOAT32
    )
    # So does the published gradient: off by the length of the decay's at most.
    np.testing.assert_allclose(
        metrics["gradient_norm"],
        np.linalg.norm(truth["grad_norms"][index]),
        rtol=EXACT,
        atol=decay * np.sqrt(decayed),
    )
    names = recording.about["var_names"]
    for name in run.published:
        place = names.index(name)
        check_exact(norm(run.named[name]), truth["norms"][index][place], name)
    recorded = recording.variables(index)
    for name in set(recorded) & set(run.published):
        check_exact(run.named[name], recorded[name], name)
    compared = {*("lr", "logits", "reg", "loss", "grad_norms", "norms")}
    compared |= {f"var/{name}" for name in recorded}
    # One kernel was recorded after the first and the last update alone.
    rare = {name for name, values in truth.items() if len(values) == 2}
    assert compared | rare | {f"final_sample/{name}" for name in names} == set(truth)


@pytest.mark.parametrize("case", ["linear_eval", "finetune_block2"])
def test_what_the_published_run_does_to_the_layers_that_are_not_in_use(golden, case):
    """It runs them, which moves their statistics; nothing is computed from those."""
    recorded = np.load(golden / "e2e" / f"traj_{case}.npz")
    last = "var/head_contrastive_instance/nl_2"
    for fixed in ("dense/kernel", "batch_normalization/gamma"):
        assert np.ptp(recorded[f"{last}/{fixed}"], axis=0).max() == 0
    assert np.ptp(recorded[f"{last}/batch_normalization/moving_mean"], axis=0).max() > 0
