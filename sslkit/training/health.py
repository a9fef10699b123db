"""The health of a run, measured without labels while it goes on, with alarms.

The measures are those of `sslkit.evaluate.health`, on views of a fixed set of a few
images. An objective adds measures of its other state, such as a bank, by
`Objective.health`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from sslkit import randomness
from sslkit.api import Augmentation, Objective, Source
from sslkit.batch import view_major
from sslkit.data.batches import TrainingBatch, training_batches
from sslkit.evaluate import health as measures
from sslkit.evaluate.alarms import alarms
from sslkit.training.actions import Action, Moment
from sslkit.training.guard import REFUSED
from sslkit.training.machine import Machine

PREFIX = "health/"
"""Prefix of the names of these metrics."""
_IMAGES = 256
"""The most images that are looked at."""
_STARVING = 0.3
"""Share of the time that the device may wait for the host without an alarm."""


class Health(Action):
    """Measures the encoder and the objective's other state, and raises alarms.

    Args:
        objective: built.
        source: the training split; the images that the run sees first are measured.
        augmentation: makes their views of the first epoch; two views per image are
            compared if there are two.
        every: steps from one measurement to the next. The end of a run is measured only
            if it is due then.
        share: images that are encoded at once: the batch size of a replica.
        seed: of the run.
        machine: knows how long the device waited for batches.
        say: prints a line for the user; each alarm is printed once, when it begins.
    """

    every: int

    def __init__(
        self,
        objective: Objective,
        source: Source,
        augmentation: Augmentation,
        *,
        every: int,
        share: int,
        seed: int,
        machine: Machine,
        say: Callable[[str], None],
    ):
        """Keeps the options; see the class."""
        self.every = every
        self._objective = objective
        self._source = source
        self._augmentation = augmentation
        self._share = min(share, _IMAGES)
        self._seed = seed
        self._machine = machine
        self._say = say
        self._latest: Mapping[str, float] = {}
        self._rate = 0.0
        self._raised: set[str] = set()

    def see(self, step: int, values: Mapping[str, float]) -> None:
        """Implements `Action.see`."""
        if not values.get(REFUSED):
            self._latest = values
        self._rate = max(self._rate, values.get("learning_rate", 0.0))

    def run(self, moment: Moment) -> None:
        """Implements `Action.run`."""
        if moment.step % self.every:
            return
        found = {
            **self._features(),
            **self._objective.health(step=moment.step, metrics=self._latest),
        }
        moment.metrics |= {f"{PREFIX}{name}": float(v) for name, v in found.items()}
        self._raise(moment.step, self._alarms(found))
        self._rate = 0.0

    def _features(self) -> dict[str, float]:
        shown = [self._encode(batch).numpy() for batch in self._batches]
        views = np.concatenate(shown, axis=1).astype(np.float64)
        if not np.all(np.isfinite(views)):
            return {"effective_rank": np.nan}
        first = views[0]
        found = {
            "effective_rank": measures.effective_rank(first),
            "spread": measures.spread(first),
            "uniformity": measures.uniformity(first),
        }
        if len(views) > 1:
            found["alignment"] = measures.alignment(first, views[1])
            found["cosine_gap"] = measures.cosine_gap(first, views[1])
        return found

    @functools.cached_property
    def _batches(self) -> list[TrainingBatch]:
        """The images' views, as the host makes them; read at the first measurement."""
        most = min(_IMAGES, self._source.size)
        return list(
            training_batches(
                self._source,
                self._augmentation,
                seed=self._seed,
                batch_size=self._share,
                start_step=0,
                stop_step=max(1, most // self._share),
                context=tf.distribute.InputContext(),
            )
        )

    @functools.cached_property
    def _encode(self) -> Callable[[TrainingBatch], tf.Tensor]:
        """Returns the features of one or two views, float32 [V, b, dim]."""

        @tf.function(autograph=False)
        def encode(batch: TrainingBatch) -> tf.Tensor:
            views = self._augmentation.batch(
                view_major(batch.views),
                step_seed=randomness.step_seed(self._seed, 0),
                example_seeds=batch.example_seeds,
            )
            group = next(iter(self._augmentation.groups))
            return tf.stack(
                [
                    tf.cast(self._objective.encoder(v, training=False), tf.float32)
                    for v in tf.unstack(views[group][:2])
                ]
            )

        return encode

    def _alarms(self, found: Mapping[str, float]) -> dict[str, str]:
        raised = alarms(found)
        if self._latest and not self._rate:
            raised["learning_rate"] = (
                f"the learning rate was 0 in the last {self.every} steps"
            )
        waited = self._machine.waited_share
        if waited is not None and waited > _STARVING:
            raised["data_wait"] = (
                "the input pipeline is too slow: the device waits for batches in "
                f"{waited:.0%} of the time; `sslkit bench input` shows which part "
                "limits it"
            )
        return raised

    def _raise(self, step: int, raised: Mapping[str, str]) -> None:
        for name, words in raised.items():
            if name not in self._raised:
                self._say(f"health: step {step}: {words}")
        self._raised = set(raised)
