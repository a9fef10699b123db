"""A learned threshold for every example of the training split."""

from __future__ import annotations

import keras
import tensorflow as tf

from sslkit import replica
from sslkit.errors import UserError
from sslkit.objectives import Scores, Selection
from sslkit_fnc.course import ALWAYS, Moment
from sslkit_fnc.detection import Detection, tail

_BETA1, _BETA2, _EPSILON = 0.9, 0.98, 1e-8
_HALF = 4096  # Whole numbers up to its square, and more, are exact in float32.


class LearnedThreshold(keras.layers.Layer, Detection):
    """Candidates above a separate threshold per image, which follows a quantile.

    GloFND (Balmaseda et al. 2025, arXiv:2502.20612, eq. 4 and 5). With a = 1 -
    quantile, the share of false negatives, the threshold l of image i minimises

        a l + mean over candidates k of max(score_ik - l, 0),

    so it is the upper a-quantile of its scores over the whole training split. Each time
    that the image is in a batch, the threshold makes a step of Adam, as published (0.9,
    0.98), with the gradient a - share of the candidates above it. So a small batch is
    enough, although a quantile of that batch would be very noisy. The first time, the
    threshold is the quantile of the batch. Thresholds stay in [-1, 1].

    The state is as long as the split, is updated from the global batch, and is saved
    with the run. If an image is in a batch twice, which is possible where an epoch
    ends, the mean of both steps is used.

    Args:
        quantile: share of the candidates that are true negatives, in [0, 1).
        rate: learning rate of Adam, in units of cosine.
        name: the layer's name.
    """

    needs_examples = True

    def __init__(self, *, quantile: float, rate: float, name: str = "detection"):
        """Keeps the options; see the class."""
        # Thresholds are kept and compared in float32, whatever the policy.
        super().__init__(name=name, autocast=False)
        self._quantile = quantile
        self._rate = rate

    def build(self, examples: int) -> None:
        """Makes a threshold, two moments and a number of visits for each example."""
        self.table = {
            name: self.add_weight(
                name=name,
                shape=(examples,),
                initializer="zeros",
                trainable=False,
                autocast=False,
                aggregation="only_first_replica",
            )
            for name in ("threshold", "mean", "square", "visits")
        }

    def describe(self) -> str:
        """Implements `Detection.describe`."""
        return (
            "the views above a threshold that is learned for each image, their "
            f"{self._quantile:g} quantile"
        )

    def select(self, scores: Scores, moment: Moment = ALWAYS) -> Selection:
        """Implements `Detection.select`."""
        if moment.indices is None or moment.examples is None:
            raise UserError(
                "fnc: detection is 'glofnd', which keeps a threshold for every "
                "example, and the batch does not have their indices. Give "
                "`Batch.index`, and `examples` of the objective."
            )
        if not self.built:
            self.build(moment.examples)
        old = {
            name: tf.gather(tf.convert_to_tensor(variable), moment.indices)
            for name, variable in self.table.items()
        }
        new = self._moved(scores, old)
        if moment.begun is not None:
            new = {n: tf.where(moment.begun, new[n], old[n]) for n in new}
        self._write(new, moment.indices)
        threshold = new["threshold"][:, tf.newaxis]
        return scores.computed(lambda columns: scores.of(columns) > threshold)

    def check(self, *, candidates: int) -> None:
        """Implements `Detection.check`."""
        if not tail(self._quantile, candidates):
            raise UserError(
                f"fnc: quantile is {self._quantile}, which leaves none of the "
                f"{candidates} candidates of an image to start a threshold from. Lower "
                "it, or raise the batch or the bank."
            )

    def most(self, candidates: int | None) -> int | None:
        """Implements `Detection.most`."""
        return candidates

    def _moved(self, scores: Scores, old: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns these images' new values after a visit, [b] each."""
        dtype = old["threshold"].dtype
        before = old["threshold"][:, tf.newaxis]
        (above,) = scores.computed(lambda columns: scores.of(columns) > before).sizes()
        others = tf.cast(tf.maximum(scores.others_written, 1), dtype)
        slope = (1 - self._quantile) - tf.cast(above, dtype) / others
        visits = old["visits"]
        known = visits > 0
        mean = _BETA1 * old["mean"] + (1 - _BETA1) * slope
        square = _BETA2 * old["square"] + (1 - _BETA2) * tf.square(slope)
        # The first visit does not change the moments, so this is Adam's step `visits`.
        number = tf.maximum(visits, 1)
        step = mean / (1 - _BETA1**number)
        step /= tf.sqrt(square / (1 - _BETA2**number)) + _EPSILON
        first = tf.cond(
            tf.reduce_all(known),
            lambda: tf.zeros_like(visits),
            lambda: self._first(scores, dtype),
        )
        threshold = tf.where(known, old["threshold"] - self._rate * step, first)
        return {
            "threshold": tf.clip_by_value(threshold, -1.0, 1.0),
            "mean": tf.where(known, mean, 0.0),
            "square": tf.where(known, square, 0.0),
            "visits": visits + 1,
        }

    def _first(self, scores: Scores, dtype: tf.DType) -> tf.Tensor:
        """Returns the highest score of true negatives, per image, [b]."""
        found, _ = scores.best(tail(self._quantile, scores.others) + 1)
        rank = tail(self._quantile, scores.others_written)
        return tf.cast(tf.gather(found, rank, axis=1), dtype)

    def _write(self, new: dict[str, tf.Tensor], index: tf.Tensor) -> None:
        """Sets the values of the images of the global batch, on all replicas."""
        dtype = new["threshold"].dtype
        # Gathering multiplies in float32, in which a large index is not exact, so it is
        # gathered in two parts.
        place = [tf.cast(index // _HALF, dtype), tf.cast(index % _HALF, dtype)]
        rows = replica.gather(tf.stack([*new.values(), *place], axis=1))
        *columns, high, low = tf.unstack(rows, axis=1)
        everyone = tf.cast(high, tf.int32) * _HALF + tf.cast(low, tf.int32)
        same = everyone[:, tf.newaxis] == everyone
        times = tf.reduce_sum(tf.cast(same, dtype), axis=1)
        values = []
        for variable, column in zip(self.table.values(), columns, strict=True):
            before = tf.convert_to_tensor(variable)
            change = (column - tf.gather(before, everyone)) / times
            values.append(
                tf.tensor_scatter_nd_add(before, everyone[:, tf.newaxis], change)
            )
        replica.assign(list(self.table.values()), values)
