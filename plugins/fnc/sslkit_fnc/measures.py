"""How good the detection of false negatives is."""

from __future__ import annotations

import tensorflow as tf

from sslkit import replica
from sslkit.objectives import Scores, Selection


def detection_metrics(
    detected: Selection, scores: Scores, *, measure: bool
) -> dict[str, tf.Tensor]:
    """Counts what was detected and, if asked, how much of it has the image's label.

    Pairs of an image and a candidate of which either has no label are left out of all
    but the first.

    Args:
        detected: the false negatives of this replica's images.
        scores: what they were detected by; with labels, to measure.
        measure: whether to compare with the labels.

    Returns:
        `false_negatives`, detected candidates an image. To measure, also
        `false_negatives_judged` of them with labels, `false_negatives_right` of those
        with the image's label, and `false_negatives_present`, candidates with the
        image's label; all an image, so that they may be averaged over any stretch of
        training before they are divided. And over the global batch of the step,
        `detection_precision`, right of judged, and `detection_recall`, right of
        present; 0 where there are none.
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
