"""When detection begins, and how its numbers change, in runs of the objective."""

from __future__ import annotations

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from sslkit.errors import UserError
from sslkit.objectives import Listed
from sslkit_fnc.course import Course, Moment, Start
from sslkit_fnc.detection import from_start

_spec = importlib.util.spec_from_file_location(
    "fnc_tiny", pathlib.Path(__file__).with_name("tiny.py")
)
tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny)

IMAGES = tiny.IMAGES
MANY = {"support": 2, "bank": 0, "topk": 8, "threshold": None}


def found(objective, step):
    outcome = objective(tiny.batch(objective, 0), step=tf.constant(step, tf.int64))
    return float(outcome.metrics["false_negatives"])


def of_run(**options):
    return tiny.build(steps=10, examples=2 * IMAGES, **{**MANY, **options})


def test_nothing_is_cancelled_before_the_start_epoch():
    objective = of_run(detection_start=1.5)  # 3 updates of 6 images among 12
    assert [found(objective, step) for step in (0, 2, 3, 9)] == [0, 0, 8, 8]
    plain = of_run(false_negatives="ignore")
    seen = tiny.batch(objective, 0)
    early = objective(seen, step=tf.constant(2, tf.int64)).loss
    np.testing.assert_allclose(early, plain(seen, step=tf.constant(2, tf.int64)).loss)


def test_health_has_no_measure_of_a_detector_that_has_not_begun():
    objective = of_run(detection_start=1.5, threshold=0.1)
    metrics = {"false_negatives": 0.0}
    assert "detected_share" not in objective.health(step=3, metrics=metrics)
    assert objective.health(step=4, metrics=metrics)["detected_share"] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "it attracts the 8 views of the highest score"),
        (
            {"false_negatives": "eliminate", "threshold": 0.9, "final_threshold": 0.7},
            "it eliminates the 8 views of the highest score, where they are above 0.9 "
            "to 0.7",
        ),
        (
            {"detection_start": 1.5},
            "it attracts the 8 views of the highest score, from step 3 on",
        ),
        (
            {"detection_start": 5.0, "detection": "oracle"},
            "it attracts all views of images with its label (oracle), from step 10 on, "
            "which is after the end of the run",
        ),
        (
            {"detection": "glofnd", "quantile": 0.9},
            "it attracts the views above a threshold that is learned for each image, "
            "their 0.9 quantile",
        ),
        ({"false_negatives": "ignore"}, "ignored"),
    ],
)
def test_says_what_becomes_of_false_negatives(options, said):
    assert of_run(**options).describe() == f"false negatives: {said}"


def test_top_k_moves_from_the_start_to_the_end():
    objective = of_run(detection_start=1.0, topk=2, final_topk=10)
    # Updates 2 to 10 are the run, of which 4 are half.
    counts = [found(objective, step) for step in (1, 2, 3, 6, 10, 12)]
    assert counts == [0, 2, 3, 6, 10, 10]
    objective = of_run(topk=10, final_topk=2)
    assert [found(objective, step) for step in (0, 5, 10)] == [10, 6, 2]


def test_a_threshold_moves_along_a_cosine():
    course = Course(0.9, 0.5, shape="cosine", option="threshold")
    for done in (0.0, 0.25, 0.5, 1.0):
        wanted = 0.9 - 0.4 * (1 - np.cos(np.pi * done)) / 2
        at = course.at(Moment(done=tf.constant(done)))
        np.testing.assert_allclose(at, wanted, rtol=1e-6)
    low = found(of_run(topk=None, threshold=-1.0, final_threshold=1.0), 0)
    high = found(of_run(topk=None, threshold=-1.0, final_threshold=1.0), 10)
    assert (low, high) == (4 * (IMAGES - 1), 0)


def test_a_number_that_does_not_change_is_a_python_number():
    assert Course(0.7, option="threshold").at(Moment()) == 0.7
    assert Course(0.7, 0.7, option="threshold").at(Moment()) == 0.7
    assert (
        Start(0).moment(
            tf.constant(5), images=4, examples=None, steps=None, indices=None
        )
        == Moment()
    )


@pytest.mark.parametrize("begun", [False, True])
def test_gates_any_selection(begun):
    listed = Listed(tf.constant([[1, -1], [0, 2]]), columns=3)
    gated = from_start(listed, Moment(begun=tf.constant(begun)))
    np.testing.assert_array_equal(gated.sizes()[0], [1, 2] if begun else [0, 0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": None, "final_threshold": 0.5}, "final_threshold is 0.5 and thr"),
        (
            {"topk": None, "threshold": 0.1, "final_topk": 3},
            "final_topk is 3 and topk is None",
        ),
        (
            {"detection": "quantile", "final_topk": 3},
            "final_topk is for detection = 'topk', and detection is 'quantile'",
        ),
        ({"topk": 2, "final_topk": 999}, "final_topk is 999, and an image has only 20"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(UserError, match=message):
        tiny.build(**{**MANY, **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"detection_start": 2.0}, "2 epochs and the number of examples is not known"),
        ({"final_topk": 3}, "final_topk is 3 and the length of the run is not known"),
    ],
)
def test_refuses_to_guess_the_length_of_a_run(options, message):
    with pytest.raises(UserError, match=message):
        tiny.build(**{**MANY, **options})
