"""Laws of objectives about how they are built and what they return."""

from __future__ import annotations

import random
import re

import keras
import numpy as np
import tensorflow as tf

from sslkit.api import UserError, ViewGroup
from sslkit.testing.comparison import differences
from sslkit.testing.gradients import taped
from sslkit.testing.law import Broken, NotChecked, Subject
from sslkit.testing.short_run import BATCH, SIZE, STEPS, ShortRun
from sslkit.training.state import symbolic_batch

_HINTS = {
    "float32": "Correct what it says; `requires` must name every group of views that "
    "`call` uses",
    "float64": "Laws run in float64: cast to sslkit.nn.full_dtype(layer), or to the "
    "dtype of the other operand, and not to tf.float32",
    "mixed_bfloat16": "Layers return bfloat16: cast to float32 before the loss",
}


def short_run_of(subject: Subject, policy: str = "float64") -> ShortRun:
    """Returns the subject's short run on one replica; laws restore its state.

    Raises:
        Broken: if it cannot be built.
    """
    key = ("short_run", policy)
    if key not in subject.runs:
        subject.runs[key] = _built(subject, policy=policy)
    return subject.runs[key]


def _built(subject: Subject, policy: str = "float64", seed: int = 1) -> ShortRun:
    try:
        return ShortRun(subject.make, policy=policy, seed=seed)
    except UserError as error:
        reason = str(error).rstrip(".")
        hint = _HINTS["float64"]
        mixed = "float32" in reason and "float64" in reason
        if policy == "float64" and mixed and "full_dtype" not in reason:
            reason = f"{reason}. {hint}"
        raise NotChecked("it cannot be built", reason) from error
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        # Keras puts its own text around an error: the cause may be in either line.
        said = " … ".join(dict.fromkeys([lines[0], lines[-1]]))
        raise Broken(
            f"its call fails under the policy {policy} ({type(error).__name__}: "
            f"{said})",
            _HINTS[policy],
        ) from error


def builds_without_side_effects(subject: Subject) -> None:
    """Building changed state: a resumed run differed from one without a stop."""
    made: list[tf.Variable] = []

    def record(make, **kwargs):
        made.append(make(**kwargs))
        return made[-1]

    with tf.variable_creator_scope(record):
        subject.make()
    if made:
        raise Broken(
            f"its constructor makes variables: {', '.join(v.name for v in made[:3])}",
            "Make variables in build or in the first call, not in the constructor",
        )
    keras.utils.set_random_seed(5)
    fresh = _drawn()
    built = _built(subject, policy="float32", seed=5)
    if _drawn() != fresh:
        raise Broken(
            "building it draws from the global random state of NumPy or TensorFlow",
            "Draw initial weights with Keras initializers, and all else with a seed",
        )
    before, state = built.values(), random.getstate()
    built.state.objective(
        symbolic_batch(built.groups, BATCH), step=keras.KerasTensor([], dtype="int64")
    )
    moved = differences(built.values(), before, within=0)
    if moved:
        raise Broken(
            f"a symbolic call changes state: {moved}",
            "In call, change variables only by tensors that depend on the batch",
        )
    if random.getstate() != state:
        raise Broken(
            "a call after building draws from Python's random state",
            "Make layers and initializers once, in the constructor or in build",
        )


def _drawn() -> tuple[float, float]:
    return float(np.random.random()), float(tf.random.uniform([]))


def owns_every_variable(subject: Subject) -> None:
    """A variable outside the variable table was not trained, saved or restored."""
    state = short_run_of(subject, "float32").state
    unnamed = [name for name in state.table if re.search(r"(^|/)(/|$)", name)]
    if unnamed:
        raise Broken(f"variables without a name: {unnamed}", "Name every weight")
    encoder = getattr(state.objective, "encoder", None)
    inside = [name for name in state.table if name.startswith("encoder/")]
    if encoder is None or (encoder.variables and not inside):
        raise Broken(
            "there is no layer called `encoder`, which is the part that is evaluated, "
            "exported and restored in other runs",
            'Write self.encoder = backbone(name="encoder")',
        )


def has_the_same_paths_twice(subject: Subject) -> None:
    """Automatic names changed from one build to the next: a checkpoint did not fit."""
    first = short_run_of(subject, "float32")
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
            f"two builds with the same seed have different weights: {moved}",
            "Draw initial weights with Keras initializers",
        )


def loss_is_a_finite_scalar(subject: Subject) -> None:
    """A loss of the wrong shape or type, or infinite on blank images, ended a run."""
    short_run = short_run_of(subject, "float32")
    for blank in (False, True):
        batch = short_run.batch(0, blank=blank)
        outcome, gradients = taped(short_run, batch, policy="float32")
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


def gradient_reaches_all_trained_weights_and_no_twin(subject: Subject) -> None:
    """A layer was never trained, or the optimizer trained the momentum twin."""
    short_run = short_run_of(subject)
    before = short_run.values()
    short_run.perturb()
    try:
        state = short_run.state
        dead = _dead(short_run, 0)
        if dead:
            # This may be by design, e.g. until a bank is filled, or for frozen weights.
            short_run.run(0, STEPS)
            dead = [name for name in _dead(short_run, STEPS) if name in dead]
        if dead:
            raise Broken(
                f"no gradient reaches {', '.join(dead)}, also after {STEPS} steps",
                "Use these weights in the loss, or set trainable = False on their "
                "layer",
            )
        start = short_run.values()
        state.objective.after_update(step=tf.constant(0, tf.int64))
        followers = {
            name: state.table[name]
            for name, value in short_run.values().items()
            if np.any(value != start[name])
        }
        constrained = _constrained(short_run, set(followers) & set(state.trainable))
        followers = {n: v for n, v in followers.items() if n not in constrained}
        trained = sorted(set(followers) & set(state.trainable))
        if trained:
            raise Broken(
                f"after_update changes {', '.join(trained)}, and so does the optimizer",
                "Freeze the twin: use nn.MomentumTwin, or set trainable = False",
            )
        short_run.set(start)
        _, leaks = taped(short_run, short_run.batch(0), of=followers)
        leaking = [
            name
            for name, gradient in leaks.items()
            if gradient is not None and np.any(gradient)
        ]
        if leaking:
            raise Broken(
                f"a gradient flows into {', '.join(leaking[:3])}, which after_update "
                "changes",
                "Stop the gradient at the twin's output with tf.stop_gradient",
            )
    finally:
        short_run.set(before)


def _constrained(short_run: ShortRun, moved: set[str]) -> set[str]:
    """Returns the weights that a second call of after_update does not change.

    These do not follow other weights. They are only constrained, as prototypes are to
    length 1. A second call may change their last digits by rounding.
    """
    before = short_run.values()
    short_run.state.objective.after_update(step=tf.constant(0, tf.int64))
    after = short_run.values()
    short_run.set(before)
    return {
        name
        for name in moved
        if np.allclose(after[name], before[name], rtol=1e-9, atol=1e-12)
    }


def _dead(short_run: ShortRun, step: int) -> list[str]:
    """Returns the weights that get no gradient from the batch of a step."""
    _, gradients = taped(short_run, short_run.batch(step))
    return [
        name
        for name, gradient in gradients.items()
        if gradient is None or not np.any(gradient)
    ]


def refuses_wrong_views_by_name(subject: Subject) -> None:
    """With the augmentation of another method, some views were never used."""
    counts = dict(subject.make().requires)
    if not counts or any(count < 1 for count in counts.values()):
        raise Broken(
            f"`requires` is {counts}",
            "Name the groups that are used, each with a count of 1 or more",
        )
    for name in counts:
        wrong = {
            group: ViewGroup(count + (group == name), SIZE)
            for group, count in counts.items()
        }
        try:
            ShortRun(subject.make, policy="float32", groups=wrong)
        except UserError as error:
            if name in str(error):
                continue
            raise Broken(
                f"one view of {name} too many is refused without that name: {error}",
                "Leave this check to the core, and make `requires` a constant",
            ) from error
        raise Broken(
            f"one view of {name} too many is not refused",
            "`requires` must return the exact counts, the same in every call",
        )
