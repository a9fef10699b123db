"""Laws of objectives about how they are built and what they say."""

from __future__ import annotations

import random
import re

import keras
import numpy as np
import tensorflow as tf

from sslkit.api import UserError, ViewGroup
from sslkit.testing.comparison import differences
from sslkit.testing.gradients import taped
from sslkit.testing.law import Broken, Subject, Unjudged
from sslkit.testing.rehearsal import BATCH, SIZE, STEPS, Rehearsal
from sslkit.training.state import symbolic_batch

_HINTS = {
    "float32": "`requires` names every group of views that `call` looks up",
    "float64": "Laws run in float64: cast to sslkit.nn.full_dtype(layer), or to the "
    "dtype of what you compute with, and not to tf.float32",
    "mixed_bfloat16": "Layers return bfloat16: cast to float32 before the loss",
}


def rehearsal_of(subject: Subject, policy: str = "float64") -> Rehearsal:
    """Returns the subject's rehearsal on one replica; laws leave it as it was built.

    Raises:
        Broken: if it cannot be built.
    """
    key = ("rehearsal", policy)
    if key not in subject.runs:
        subject.runs[key] = _built(subject, policy=policy)
    return subject.runs[key]


def _built(subject: Subject, policy: str = "float64", seed: int = 1) -> Rehearsal:
    try:
        return Rehearsal(subject.make, policy=policy, seed=seed)
    except UserError as error:
        raise Unjudged("it cannot be built", str(error).rstrip(".")) from error
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        raise Broken(
            f"its call fails under the policy {policy} ({type(error).__name__}: "
            f"{lines[0]} … {lines[-1]})",
            _HINTS[policy],
        ) from error


def builds_without_side_effects(subject: Subject) -> None:
    """Building moved state: a run that was resumed did not equal one that was not."""
    made: list[tf.Variable] = []

    def record(make, **kwargs):
        made.append(make(**kwargs))
        return made[-1]

    with tf.variable_creator_scope(record):
        subject.make()
    if made:
        raise Broken(
            f"its constructor makes variables: {', '.join(v.name for v in made[:3])}",
            "Constructors do no work: make variables in build or when first called",
        )
    keras.utils.set_random_seed(5)
    fresh = _drawn()
    built = _built(subject, policy="float32", seed=5)
    if _drawn() != fresh:
        raise Broken(
            "building it draws from the global random state of numpy or TensorFlow",
            "Initial weights come from keras initializers; all else takes a seed",
        )
    before, state = built.values(), random.getstate()
    built.state.objective(
        symbolic_batch(built.groups, BATCH), step=keras.KerasTensor([], dtype="int64")
    )
    moved = differences(built.values(), before, within=0)
    if moved:
        raise Broken(
            f"a symbolic call moves state: {moved}",
            "Change variables through tensors that depend on the batch, in call",
        )
    if random.getstate() != state:
        raise Broken(
            "a call when all is built draws from Python's random state",
            "Make layers and initializers once, in the constructor or in build",
        )


def _drawn() -> tuple[float, float]:
    return float(np.random.random()), float(tf.random.uniform([]))


def owns_every_variable(subject: Subject) -> None:
    """A variable outside the table was neither trained, saved nor restored."""
    state = rehearsal_of(subject, "float32").state
    unnamed = [name for name in state.table if re.search(r"(^|/)(/|$)", name)]
    if unnamed:
        raise Broken(f"variables without a name: {unnamed}", "Name every weight")
    encoder = getattr(state.objective, "encoder", None)
    inside = [name for name in state.table if name.startswith("encoder/")]
    if encoder is None or (encoder.variables and not inside):
        raise Broken(
            "there is no layer called `encoder`, which is what is evaluated, exported "
            "and restored elsewhere",
            'Say self.encoder = backbone(name="encoder")',
        )


def has_the_same_paths_twice(subject: Subject) -> None:
    """Counted names changed from one build to the next: a checkpoint did not fit."""
    first = rehearsal_of(subject, "float32")
    second = _built(subject, policy="float32")
    odd = sorted(set(first.state.table) ^ set(second.state.table))
    if odd:
        raise Broken(
            f"two builds in one process name their variables differently: "
            f"{', '.join(odd[:4])}",
            "Give every layer and weight a name: an automatic one counts per process",
        )
    moved = differences(first.values(), second.values(), within=0)
    if moved:
        raise Broken(
            f"two builds from one seed start differently: {moved}",
            "Draw initial weights with keras initializers",
        )


def loss_is_a_finite_scalar(subject: Subject) -> None:
    """A loss of another shape or type, or infinite on blank images, ended a run."""
    rehearsal = rehearsal_of(subject, "float32")
    for blank in (False, True):
        batch = rehearsal.batch(0, blank=blank)
        outcome, gradients = taped(rehearsal, batch, policy="float32")
        shown = "blank images" if blank else "a batch"
        for name, value in {"loss": outcome.loss, **outcome.metrics}.items():
            if value.dtype != tf.float32 or value.shape != ():
                raise Broken(
                    f"{name} is {value.dtype.name} {list(value.shape)}",
                    "An Outcome holds float32 scalars",
                )
            if not np.isfinite(value.numpy()):
                raise Broken(
                    f"{name} is {value.numpy()} on {shown}",
                    "Keep logarithms, roots and quotients away from zero",
                )
        for name, gradient in gradients.items():
            if gradient is not None and not np.all(np.isfinite(gradient)):
                raise Broken(
                    f"the gradient of {name} is not finite on {shown}",
                    "A root or a norm has no gradient at zero: add an epsilon inside",
                )


def gradient_reaches_all_that_is_learned_and_no_twin(subject: Subject) -> None:
    """A layer stayed as it was, or the momentum twin was trained by the optimizer."""
    rehearsal = rehearsal_of(subject)
    before = rehearsal.values()
    rehearsal.perturb()
    try:
        state = rehearsal.state
        dead = _dead(rehearsal, 0)
        if dead:
            # By design, perhaps, as while a bank is not filled or weights are held.
            rehearsal.run(0, STEPS)
            dead = [name for name in _dead(rehearsal, STEPS) if name in dead]
        if dead:
            raise Broken(
                f"no gradient reaches {', '.join(dead)}, nor after {STEPS} steps",
                "Use these weights in the loss, or set trainable = False on their "
                "layer",
            )
        start = rehearsal.values()
        state.objective.after_update(step=tf.constant(0, tf.int64))
        followers = {
            name: state.table[name]
            for name, value in rehearsal.values().items()
            if np.any(value != start[name])
        }
        constrained = _constrained(rehearsal, set(followers) & set(state.trainable))
        followers = {n: v for n, v in followers.items() if n not in constrained}
        trained = sorted(set(followers) & set(state.trainable))
        if trained:
            raise Broken(
                f"after_update moves {', '.join(trained)}, and so does the optimizer",
                "Freeze what follows: nn.MomentumTwin does, or trainable = False",
            )
        rehearsal.set(start)
        _, leaks = taped(rehearsal, rehearsal.batch(0), of=followers)
        leaking = [
            name
            for name, gradient in leaks.items()
            if gradient is not None and np.any(gradient)
        ]
        if leaking:
            raise Broken(
                f"a gradient flows into {', '.join(leaking[:3])}, which after_update "
                "moves",
                "Stop the gradient at the twin's output with tf.stop_gradient",
            )
    finally:
        rehearsal.set(before)


def _constrained(rehearsal: Rehearsal, moved: set[str]) -> set[str]:
    """Returns the weights that after_update leaves where they are the second time.

    They follow nothing: they are put back to where they may be, as prototypes to
    length 1. What is rounded moves by its last digits.
    """
    before = rehearsal.values()
    rehearsal.state.objective.after_update(step=tf.constant(0, tf.int64))
    after = rehearsal.values()
    rehearsal.set(before)
    return {
        name
        for name in moved
        if np.allclose(after[name], before[name], rtol=1e-9, atol=1e-12)
    }


def _dead(rehearsal: Rehearsal, step: int) -> list[str]:
    """Returns the weights that get no gradient from the batch of a step."""
    _, gradients = taped(rehearsal, rehearsal.batch(step))
    return [
        name
        for name, gradient in gradients.items()
        if gradient is None or not np.any(gradient)
    ]


def refuses_wrong_views_by_name(subject: Subject) -> None:
    """An augmentation of another method trained on views that nobody looked at."""
    counts = dict(subject.make().requires)
    if not counts or any(count < 1 for count in counts.values()):
        raise Broken(
            f"`requires` is {counts}",
            "Name the groups that are consumed, each with a count of 1 or more",
        )
    for name in counts:
        wrong = {
            group: ViewGroup(count + (group == name), SIZE)
            for group, count in counts.items()
        }
        try:
            Rehearsal(subject.make, policy="float32", groups=wrong)
        except UserError as error:
            if name in str(error):
                continue
            raise Broken(
                f"one view of {name} too many is refused without its name: {error}",
                "Leave the check to the core, and let `requires` be a constant",
            ) from error
        raise Broken(
            f"one view of {name} too many goes unnoticed",
            "`requires` gives the exact counts, the same whenever it is asked",
        )
