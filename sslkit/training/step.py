"""One update: views, outcome, gradients, optimizer, and what follows an update."""

from __future__ import annotations

from typing import Literal

import tensorflow as tf

from sslkit import randomness, replica
from sslkit.api import Augmentation, Batch, Optimizer, Schedule, UserError, Views
from sslkit.batch import view_major
from sslkit.data.batches import TrainingBatch
from sslkit.training.accumulating import mean_of_parts
from sslkit.training.guard import REFUSED, Guard
from sslkit.training.state import TrainState
from sslkit.training.updating import updated

Part = Literal["views", "forward", "backward", "update"]
"""A part of a step; the parts follow each other in this order."""


class TrainStep:
    """What every replica does with its share of a global batch.

    Args:
        state: what the step moves.
        augmentation: finishes the views on the device.
        optimizer: moves the weights.
        schedule: gives the learning rate.
        steps: updates of the whole run.
        batch_size: the global batch.
        examples: examples in the training split.
        seed: of what is drawn once per step.
        guard: takes back a step that is not finite; None if nothing is taken back.
        accumulate: into how many parts each replica's share is divided, see
            `mean_of_parts`; the state was built for one of them.
    """

    def __init__(
        self,
        state: TrainState,
        augmentation: Augmentation,
        optimizer: Optimizer,
        schedule: Schedule,
        *,
        steps: int,
        batch_size: int,
        examples: int,
        seed: int,
        guard: Guard | None = None,
        accumulate: int = 1,
    ):
        """Keeps the options; see the class."""
        self._state = state
        self.guard = guard
        self._augmentation = augmentation
        self._optimizer = optimizer
        self._schedule = schedule
        self._steps = steps
        self._batch_size = batch_size
        self._examples = examples
        self._seed = seed
        self._accumulate = accumulate
        state.objective.steps = steps

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of what a call returns."""
        own = ("loss", "learning_rate", "gradient_norm")
        return (*own, *([REFUSED] if self.guard else ()), *self._state.metrics)

    def __call__(self, batch: TrainingBatch) -> dict[str, tf.Tensor]:
        """Makes one update.

        Args:
            batch: this replica's share, as it came from the host.

        Returns:
            The metrics, float32 [] each, equal on all replicas.
        """
        return self.through("update", batch)

    # AutoGraph would rewrite every function that is called here, which is most of the
    # time of tracing. The plugins' code was checked before, without AutoGraph.
    @tf.autograph.experimental.do_not_convert
    def through(self, until: Part, batch: TrainingBatch) -> dict[str, tf.Tensor]:
        """Does a step up to one of its parts, for measurements.

        Args:
            until: the last part to do. Later parts are left out, and `loss` is made to
                depend on all that was done.
            batch: this replica's share, as it came from the host.

        Returns:
            The metrics, float32 [] each, equal on all replicas.
        """
        state = self._state
        step = tf.convert_to_tensor(state.step.value)
        step_seed = randomness.step_seed(self._seed, step)
        before = self.guard.before() if self.guard is not None else ()
        gradients, loss, metrics = mean_of_parts(
            lambda part: self._of_part(
                part, step=step, step_seed=step_seed, until=until
            ),
            batch,
            self._accumulate,
        )
        if until in ("views", "forward"):
            return {"loss": loss, **metrics}
        gradients, loss, metrics = replica.mean((gradients, loss, metrics))
        if until == "backward":
            return {"loss": loss + tf.linalg.global_norm(gradients), **metrics}
        rate = self._schedule.rate(
            step,
            steps=self._steps,
            batch_size=self._batch_size,
            examples=self._examples,
        )
        self._update(gradients, rate=rate, step=step)
        state.objective.after_update(step=step)
        # As `tf.linalg.global_norm` adds them up.
        squares = [
            tf.nn.l2_loss(g.values if isinstance(g, tf.IndexedSlices) else g)
            for g in gradients
        ]
        found = {
            "loss": loss,
            "learning_rate": rate,
            "gradient_norm": tf.sqrt(2 * tf.reduce_sum(tf.stack(squares))),
        }
        if self.guard is not None:
            found[REFUSED] = self.guard.settle(
                before, loss=loss, squares=squares, step=step
            )
        return {**found, **metrics}

    def _of_part(
        self,
        batch: TrainingBatch,
        *,
        step: tf.Tensor,
        step_seed: tf.Tensor,
        until: Part,
    ) -> tuple[list[tf.Tensor], tf.Tensor, dict[str, tf.Tensor]]:
        """Returns gradients, loss and metrics of some of this replica's images."""
        state = self._state
        # Transposed here, as bytes: on the host, which is often the bottleneck, it
        # would cost as much as the crops.
        views = self._augmentation.batch(
            view_major(batch.views),
            step_seed=step_seed,
            example_seeds=batch.example_seeds,
        )
        if until == "views":
            return [], tf.add_n([tf.reduce_mean(v) for v in views.values()]), {}
        weights = [weight.value for weight in state.trainable.values()]
        with (
            randomness.drawing(step_seed, batch.example_seeds),
            tf.GradientTape(watch_accessed_variables=False) as tape,
        ):
            tape.watch(weights)
            outcome = state.objective(
                Batch(Views.of(views).stacks, batch.label, batch.index), step=step
            )
        if until == "forward":
            return [], outcome.loss, dict(outcome.metrics)
        gradients = tape.gradient(outcome.loss, weights)
        self._check_reached(gradients)
        return gradients, outcome.loss, dict(outcome.metrics)

    def _update(
        self, gradients: list[tf.Tensor], *, rate: tf.Tensor, step: tf.Tensor
    ) -> None:
        state = self._state
        variables, values = updated(
            self._optimizer,
            state.trainable,
            state.slots,
            gradients,
            held=state.held,
            rate=rate,
            step=step,
            steps=self._steps,
        )
        replica.assign([state.step, *variables], [step + 1, *values])

    def _check_reached(self, gradients: list[tf.Tensor | None]) -> None:
        unreached = [
            path
            for path, gradient in zip(self._state.trainable, gradients, strict=True)
            if gradient is None
        ]
        if unreached:
            more = len(unreached) - 3
            raise UserError(
                f"objective {self._state.objective.name}: no gradient reaches "
                f"{', '.join(unreached[:3])}{f' and {more} more' if more > 0 else ''}. "
                "Use these weights in the loss, or set "
                "trainable = False on their layer."
            )
