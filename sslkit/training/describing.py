"""The description that a run prints before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sslkit.data.labelling import Labelling
from sslkit.training.accumulating import describe_parts

if TYPE_CHECKING:
    from sslkit.training.run import Training


def describe(training: Training, labels: Labelling | None) -> list[str]:
    """Returns lines that describe the run: devices, batch, rate, length, model.

    Args:
        training: the run.
        labels: what is known of the training split's labels; None if nobody reads them.
    """
    steps, batch_size = training.steps, training.batch_size
    runner, state, source = training.runner, training.state, training.source
    replicas = runner.strategy.num_replicas_in_sync
    rate = training.schedule.describe(
        steps=steps, batch_size=batch_size, examples=source.size
    )
    views = ", ".join(
        f"{name} {count} x {size} px"
        for name, (count, size) in training.augmentation.groups.items()
    )
    frozen = f", {state.frozen:,} frozen" if state.frozen else ""
    some = f" ({labels})" if labels is not None and not labels.all else ""
    parts = describe_parts(training.accumulate, batch_size)
    own = training.objective.describe()
    return [
        f"objective {training.objective.name}: {state.parameters:,} trained "
        f"parameters{frozen}; views {views}",
        *([own] if own else []),
        f"encoder: {training.objective.encoder.describe()}",
        source.summary(),
        f"length: {steps:,} steps of {batch_size} are "
        f"{steps * batch_size / source.size:.4g} epochs of {source.size:,} "
        f"examples{some}",
        f"learning rate: {rate}",
        f"views finished on: {training.augmentation.describe()}",
        f"runner: {replicas} replica(s) on {runner.hosts} host(s); global batch "
        f"{batch_size}, {batch_size // replicas} per replica{parts}; seed "
        f"{training.seed}",
        f"precision: {training.arithmetic.describe(runner.strategy)}",
    ]
