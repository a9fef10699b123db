"""Laws of objectives about a few steps of training."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence

import numpy as np

from sslkit.checkpoints import restore, write
from sslkit.testing.comparison import differences, losses_differ
from sslkit.testing.gradients import slopes, taped
from sslkit.testing.law import Broken, Subject
from sslkit.testing.objective_laws import rehearsal_of
from sslkit.testing.rehearsal import BATCH, STEPS, Record, Rehearsal
from sslkit.training.state import OPTIMIZER

FLOAT64 = 1e-9
"""What rounding in float64 may amount to after five steps: each step multiplies an
error by what it does to a difference of weights, which a bug in the mathematics
exceeds by orders of magnitude."""
SLOPE = 1e-5
"""Largest difference between a slope and the gradient, of the gradient's length."""


def trained(subject: Subject, replicas: int = 1) -> Record:
    """Returns what five steps in float64 make of the subject; computed once."""
    key = ("trained", replicas)
    if key not in subject.runs:
        alone = rehearsal_of(subject)  # Says so if it cannot be built.
        try:
            subject.runs[key] = (
                _tried(alone)
                if replicas == 1
                else Rehearsal(subject.make, replicas=replicas).run(0, STEPS)
            )
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            raise Broken(
                f"five steps on {replicas} replica(s) fail ({type(error).__name__}: "
                f"{lines[-1].strip()})",
                "Read the error above this one",
            ) from error
    return subject.runs[key]


def _tried(
    rehearsal: Rehearsal, *, order: Sequence[int] = tuple(range(BATCH))
) -> Record:
    """Makes five steps and takes them back."""
    before = rehearsal.values()
    record = rehearsal.run(0, STEPS, order=order)
    rehearsal.set(before)
    return record


def gradient_equals_finite_differences(subject: Subject) -> None:
    """A custom gradient, or one stopped in a wrong place, was not that of the loss."""
    rehearsal = rehearsal_of(subject)
    before = rehearsal.values()
    # The bank is written, and weights that start at zero have moved.
    rehearsal.run(0, 2)
    rehearsal.perturb()
    try:
        batch = rehearsal.batch(2)
        _, gradients = taped(rehearsal, batch)
        draw = np.random.default_rng(3)
        directions = []
        for name, weight in rehearsal.state.trainable.items():
            step = draw.normal(size=weight.shape)
            directions.append({name: step / np.linalg.norm(step)})
        # All weights at once, along the gradient, where the slope is its length.
        known = {n: np.zeros(()) if g is None else g for n, g in gradients.items()}
        length = float(np.sqrt(sum(np.sum(g**2) for g in known.values())))
        directions.append({name: g / length for name, g in known.items()})
        measured = slopes(rehearsal, batch, directions)
        for direction, slope in zip(directions, measured, strict=True):
            wanted = sum(
                float(np.sum(known[name] * step)) for name, step in direction.items()
            )
            if not abs(slope - wanted) <= SLOPE * length:
                name = next(iter(direction)) if len(direction) == 1 else "all weights"
                raise Broken(
                    f"along {name} the loss rises by {slope:.8g} and its gradient "
                    f"says {wanted:.8g}",
                    "Look at custom gradients and at casts to integers; what is meant "
                    "to be constant goes through tf.stop_gradient",
                )
    finally:
        rehearsal.set(before)


def replicas_do_not_change_the_result(subject: Subject) -> None:
    """The loss saw one replica's negatives, or a gradient was summed, not averaged."""
    _same_as_alone(subject, 2)


def replicas_stay_equal(subject: Subject) -> None:
    """State drifted apart on the replicas, and only the first one's was saved."""
    _equal_among_themselves(subject, 2)


def four_replicas_do_what_two_do(subject: Subject) -> None:
    """What was written for a pair of replicas took one other for all others."""
    _equal_among_themselves(subject, 4)
    _same_as_alone(subject, 4)


def _same_as_alone(subject: Subject, replicas: int) -> None:
    alone, together = trained(subject), trained(subject, replicas)
    found = losses_differ(together.losses, alone.losses, within=FLOAT64) or differences(
        together.table, alone.table, within=FLOAT64
    )
    if found:
        raise Broken(
            f"{replicas} replicas differ from one: {found}",
            "Look at the global batch through sslkit.replica (gather, mean), "
            "normalise with nn.BatchNorm, and let the loss be a mean over the "
            "replica's examples",
        )


def _equal_among_themselves(subject: Subject, replicas: int) -> None:
    unequal = trained(subject, replicas).unequal
    if unequal:
        name = max(unequal, key=lambda path: unequal[path])
        raise Broken(
            f"after {STEPS} steps {replicas} replicas hold different values of "
            f"{len(unequal)} variable(s), {name} by {unequal[name]:.2g}",
            "Assign what replica.gather or replica.mean returns, through "
            "replica.assign",
        )


def jit_does_not_change_the_result(subject: Subject) -> None:
    """A step could not be compiled by XLA, or computed something else."""
    plain = trained(subject)
    try:
        compiled = Rehearsal(subject.make, jit=True).run(0, STEPS)
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        raise Broken(
            f"XLA does not compile it ({type(error).__name__}: {lines[-1]})",
            "Shapes must be static and operations known to XLA: no boolean_mask, "
            "where with one argument, unique or py_function",
        ) from error
    found = losses_differ(compiled.losses, plain.losses, within=FLOAT64) or differences(
        compiled.table, plain.table, within=FLOAT64
    )
    if found:
        raise Broken(
            f"compiled by XLA it differs: {found}",
            "Look for operations that XLA rounds or orders in another way, and for "
            "stateful random numbers",
        )


def does_not_retrace(subject: Subject) -> None:
    """Every step was traced anew, which took a hundred times as long."""
    traces = trained(subject).traces
    if traces != 1:
        raise Broken(
            f"{STEPS} steps were traced {traces} times",
            "Make all variables when first called, symbolically; and keep Python "
            "numbers that change out of the step",
        )


def resumes_bit_for_bit(subject: Subject) -> None:
    """State outside the variable table was lost when a run was stopped."""
    whole = rehearsal_of(subject, "float32")
    before = whole.values()
    try:
        first = whole.run(0, 2)
        with tempfile.TemporaryDirectory() as folder:
            prefix = os.path.join(folder, "state")
            write(whole.state.table, prefix)
            rest = whole.run(2, 4)
            # Another seed: whatever is not restored shows.
            resumed = Rehearsal(subject.make, policy="float32", seed=99)
            restore(resumed.state.table, prefix)
    finally:
        whole.set(before)
    again = resumed.run(2, 4)
    found = losses_differ(again.losses, rest.losses, within=0) or differences(
        again.table, rest.table, within=0
    )
    if found:
        raise Broken(
            f"resumed after {len(first.losses)} of 4 steps it differs: {found}",
            "Keep all state in add_weight(..., trainable=False), none in Python or "
            "in a tf.Variable",
        )


def an_unlabelled_example_changes_nothing(subject: Subject) -> None:
    """An example without a label was trained as one of class 0."""
    if subject.make().classes is None:
        return
    # Each image is there twice; that one of the two has no label is no news of the
    # others. Of two replicas the first has three labels, the second one.
    order = [*range(BATCH // 2), *range(BATCH // 2)]
    unlabelled = range(3, 7)
    alone = rehearsal_of(subject)
    before = alone.values()
    whole = alone.run(0, 3, order=order)
    alone.set(before)
    found = {1: alone.run(0, 3, order=order, unlabelled=unlabelled)}
    alone.set(before)
    found[2] = Rehearsal(subject.make, replicas=2).run(
        0, 3, order=order, unlabelled=unlabelled
    )
    for replicas, part in found.items():
        different = (
            losses_differ(part.losses, whole.losses, within=FLOAT64)
            or differences(part.table, whole.table, within=FLOAT64)
            or differences(_columns(part), _columns(whole), within=FLOAT64)
        )
        if different:
            raise Broken(
                f"with half of the examples unlabelled it differs on {replicas} "
                f"replica(s): {different}",
                "Give rows with a label below 0 no weight, and divide by "
                "replica.mean of the weights' sum: the mean over the global batch",
            )


def parts_of_a_batch_give_its_update(subject: Subject) -> None:
    """`mean_over_examples` was said of a loss that compares images."""
    if not subject.make().mean_over_examples:
        return
    # Each image is there twice, once in each part, so that batch normalisation sees
    # the same statistics in the parts as in the whole.
    order = [n for n in range(BATCH // 2) for _ in range(2)]
    alone = rehearsal_of(subject)
    before = alone.values()
    whole = alone.run(0, 1, order=order)
    alone.set(before)
    parts = Rehearsal(subject.make, accumulate=2).run(0, 1, order=order)
    trained = list(alone.state.trainable)
    found = losses_differ(parts.losses, whole.losses, within=FLOAT64) or differences(
        {name: parts.table[name] for name in trained},
        {name: whole.table[name] for name in trained},
        within=FLOAT64,
    )
    if found:
        raise Broken(
            f"a batch in two parts gives another update than the whole: {found}",
            "Leave mean_over_examples False where images are compared with each other",
        )


def _columns(record: Record) -> dict[str, np.ndarray]:
    """Returns name -> the metric, a number for each step."""
    names = record.metrics[0]
    return {
        f"the metric {name}": np.array([step[name] for step in record.metrics])
        for name in names
    }


def batch_order_does_not_matter(subject: Subject) -> None:
    """Rows of two tensors were paired wrongly, which a loss near log n hid."""
    straight = trained(subject)
    order = np.random.default_rng(11).permutation(BATCH)
    shuffled = _tried(rehearsal_of(subject), order=tuple(order))
    found = losses_differ(shuffled.losses, straight.losses, within=FLOAT64)
    if not found:
        # Banks and queues hold rows in the order of the batch; what is trained, and
        # the gradients that its slots collect, have no order.
        slots = [name for name in straight.table if name.startswith(OPTIMIZER)]
        weights = [name.split("/", 2)[2] for name in slots] + slots
        found = differences(
            {name: shuffled.table[name] for name in weights},
            {name: straight.table[name] for name in weights},
            within=FLOAT64,
        )
    if found:
        raise Broken(
            f"the same examples in another order give another result: {found}",
            "Pair views by their place in the batch, e.g. with objectives.own_columns",
        )
