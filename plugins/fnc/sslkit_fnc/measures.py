"""Measures of the quality of the detection of false negatives."""

from __future__ import annotations

import tensorflow as tf

from sslkit import replica
from sslkit.objectives import Scores, Selection


def detection_metrics(
    detected: Selection, scores: Scores, *, measure: bool
) -> dict[str, tf.Tensor]:
    """Counts detected candidates and, if `measure`, how many have the image's label.

    Pairs of an image and a candidate in which one has no label count only for the first
    number.

    Args:
        detected: the false negatives of this replica's images.
        scores: the scores by which they were detected; with labels if `measure`.
        measure: whether to compare with the labels.

    Returns:
        `false_negatives`, detected candidates per image. If `measure`, also
        `false_negatives_judged`, those in pairs with labels; `false_negatives_right`,
        those with the image's label; and `false_negatives_present`, all candidates with
        the image's label. All are per image, so that they can be averaged over any part
        of training before they are divided. For the global batch of the step there are
        also `detection_precision`, right / judged, and `detection_recall`, right /
        present; 0 if the denominator is 0.
    """
    if not measure:
        return {"false_negatives": tf.reduce_mean(detected.sizes()[0])}
    alike = scores.computed(scores.alike)
    found, judged, right = detected.sizes(scores.computed(scores.labelled), alike)
    (present,) = alike.sizes()
    means = {
        "false_negatives": tf.reduce_mean(found),
        "false_negatives_judged": tf.reduce_mean(judged),
        "false_negatives_right": tf.reduce_mean(right),
        "false_negatives_present": tf.reduce_mean(present),
    }
    everyone = replica.mean(means)
    hits = everyone["false_negatives_right"]
    return {
        **means,
        "detection_precision": tf.math.divide_no_nan(
            hits, everyone["false_negatives_judged"]
        ),
        "detection_recall": tf.math.divide_no_nan(
            hits, everyone["false_negatives_present"]
        ),
    }
