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
from sslkit.testing.objective_laws import short_run_of
from sslkit.testing.short_run import BATCH, STEPS, Record, ShortRun
from sslkit.training.state import OPTIMIZER

FLOAT64 = 1e-9
"""The largest difference that rounding in float64 can make in five steps, in which
errors grow. A bug in the mathematics makes a difference that is larger by orders of
magnitude."""
SLOPE = 1e-5
"""The largest difference of a slope and the gradient, relative to its length."""


def trained(subject: Subject, replicas: int = 1) -> Record:
    """Returns the results of five steps in float64; they are computed once."""
    key = ("trained", replicas)
    if key not in subject.runs:
        alone = short_run_of(subject)  # Raises `Broken` if it cannot be built.
        try:
            subject.runs[key] = (
                _tried(alone)
                if replicas == 1
                else ShortRun(subject.make, replicas=replicas).run(0, STEPS)
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
    short_run: ShortRun, *, order: Sequence[int] = tuple(range(BATCH))
) -> Record:
    """Does five steps, and restores the state from before."""
    before = short_run.values()
    record = short_run.run(0, STEPS, order=order)
    short_run.set(before)
    return record


def gradient_equals_finite_differences(subject: Subject) -> None:
    """A wrong custom gradient or stop_gradient made the gradient wrong."""
    short_run = short_run_of(subject)
    before = short_run.values()
    # After this, the bank is filled and weights that start at zero have changed.
    short_run.run(0, 2, eagerly=True)
    short_run.perturb()
    try:
        batch = short_run.batch(2)
        _, gradients = taped(short_run, batch)
        draw = np.random.default_rng(3)
        directions = []
        for name, weight in short_run.state.trainable.items():
            step = draw.normal(size=weight.shape)
            directions.append({name: step / np.linalg.norm(step)})
        # And all weights together, along the gradient: the slope is its length.
        known = {n: np.zeros(()) if g is None else g for n, g in gradients.items()}
        length = float(np.sqrt(sum(np.sum(g**2) for g in known.values())))
        directions.append({name: g / length for name, g in known.items()})
        measured = slopes(short_run, batch, directions)
        for direction, slope in zip(directions, measured, strict=True):
            wanted = sum(
                float(np.sum(known[name] * step)) for name, step in direction.items()
            )
            if not abs(slope - wanted) <= SLOPE * length:
                name = next(iter(direction)) if len(direction) == 1 else "all weights"
                raise Broken(
                    f"along {name} the slope of the loss is {slope:.8g}, but its "
                    f"gradient gives {wanted:.8g}",
                    "Check custom gradients and casts to integers; put values that "
                    "are meant to be constant through tf.stop_gradient",
                )
    finally:
        short_run.set(before)


def replicas_do_not_change_the_result(subject: Subject) -> None:
    """The loss used the negatives of one replica only, or a gradient was summed."""
    _same_as_alone(subject, 2)


def replicas_stay_equal(subject: Subject) -> None:
    """State became different on the replicas, and only the first one's was saved."""
    _equal_among_themselves(subject, 2)


def four_replicas_do_the_same_as_two(subject: Subject) -> None:
    """Code that was tested on two replicas was wrong on more."""
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
            "Use sslkit.replica (gather, mean) for values of the global batch, "
            "nn.BatchNorm for normalisation, and make the loss a mean over the "
            "replica's examples",
        )


def _equal_among_themselves(subject: Subject, replicas: int) -> None:
    unequal = trained(subject, replicas).unequal
    if unequal:
        name = max(unequal, key=lambda path: unequal[path])
        raise Broken(
            f"after {STEPS} steps {replicas} replicas have different values of "
            f"{len(unequal)} variable(s), of {name} by {unequal[name]:.2g}",
            "Compute the values with replica.gather or replica.mean, and set them with "
            "replica.assign",
        )


def jit_does_not_change_the_result(subject: Subject) -> None:
    """XLA could not compile a step, or the compiled step computed something else."""
    plain = trained(subject)
    try:
        compiled = ShortRun(subject.make, jit=True).run(0, STEPS)
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        raise Broken(
            f"XLA cannot compile it ({type(error).__name__}: {lines[-1]})",
            "Use static shapes and operations that XLA supports: no boolean_mask, no "
            "tf.where with one argument, no unique or py_function",
        ) from error
    found = losses_differ(compiled.losses, plain.losses, within=FLOAT64) or differences(
        compiled.table, plain.table, within=FLOAT64
    )
    if found:
        raise Broken(
            f"the result is different when XLA compiles it: {found}",
            "Look for stateful random numbers, and for operations that XLA rounds or "
            "orders in another way",
        )


def does_not_retrace(subject: Subject) -> None:
    """Every step was traced again, which took a hundred times as long."""
    traces = trained(subject).traces
    if traces != 1:
        raise Broken(
            f"{STEPS} steps were traced {traces} times",
            "Make all variables in the first, symbolic call, and do not use Python "
            "numbers that change in the step",
        )


def resumes_bit_for_bit(subject: Subject) -> None:
    """State outside the variable table was lost when a run was stopped."""
    whole = short_run_of(subject, "float32")
    before = whole.values()
    try:
        first = whole.run(0, 2)
        with tempfile.TemporaryDirectory() as folder:
            prefix = os.path.join(folder, "state")
            write(whole.state.table, prefix)
            rest = whole.run(2, 4)
            # With another seed, so that a value that is not restored is different.
            resumed = ShortRun(subject.make, policy="float32", seed=99)
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
            "Keep all state in add_weight(..., trainable=False), and not in Python "
            "attributes or a tf.Variable",
        )


def an_unlabelled_example_changes_nothing(subject: Subject) -> None:
    """An example without a label was trained as an example of class 0."""
    if subject.make().classes is None:
        return
    # Each image is in the batch twice, and one of the two has no label, which must not
    # change the result. Of two replicas the first has three labels, the second has one.
    order = [*range(BATCH // 2), *range(BATCH // 2)]
    unlabelled = range(3, 7)
    alone = short_run_of(subject)
    before = alone.values()
    whole = alone.run(0, 3, order=order)
    alone.set(before)
    found = {1: alone.run(0, 3, order=order, unlabelled=unlabelled)}
    alone.set(before)
    found[2] = ShortRun(subject.make, replicas=2).run(
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
                "Give rows with a label below 0 the weight 0, and divide by "
                "replica.mean of the weights' sum, for a mean over the global batch",
            )


def parts_of_a_batch_give_the_same_update(subject: Subject) -> None:
    """A loss that compares images had `mean_over_examples = True`."""
    if not subject.make().mean_over_examples:
        return
    # Each image is in the batch twice, once in each part, so that the statistics of
    # batch normalisation are the same in the parts as in the whole.
    order = [n for n in range(BATCH // 2) for _ in range(2)]
    alone = short_run_of(subject)
    before = alone.values()
    whole = alone.run(0, 1, order=order)
    alone.set(before)
    parts = ShortRun(subject.make, accumulate=2).run(0, 1, order=order)
    trained = list(alone.state.trainable)
    found = losses_differ(parts.losses, whole.losses, within=FLOAT64) or differences(
        {name: parts.table[name] for name in trained},
        {name: whole.table[name] for name in trained},
        within=FLOAT64,
    )
    if found:
        raise Broken(
            f"a batch in two parts gives another update than the whole: {found}",
            "Leave mean_over_examples False if images are compared with each other",
        )


def _columns(record: Record) -> dict[str, np.ndarray]:
    """Returns name -> the values of the metric, one per step."""
    names = record.metrics[0]
    return {
        f"the metric {name}": np.array([step[name] for step in record.metrics])
        for name in names
    }


def batch_order_does_not_matter(subject: Subject) -> None:
    """Rows of two tensors were paired wrongly, and the loss did not show it."""
    straight = trained(subject)
    order = np.random.default_rng(11).permutation(BATCH)
    shuffled = _tried(short_run_of(subject), order=tuple(order))
    found = losses_differ(shuffled.losses, straight.losses, within=FLOAT64)
    if not found:
        # Banks and queues hold rows in the order of the batch, so they may differ. The
        # weights and the optimizer's slots must not depend on the order.
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
