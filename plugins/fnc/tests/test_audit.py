"""The objective's methods for an audit, against loops over its embeddings."""

from __future__ import annotations

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from sslkit.api import UserError

_spec = importlib.util.spec_from_file_location(
    "fnc_tiny_audit", pathlib.Path(__file__).with_name("tiny.py")
)
tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny)

STEP = np.int64(0)


def best(scores, columns, _):
    ranked = sorted(columns, key=lambda k: (-scores[k], k))[:3]
    return [k for k in ranked if scores[k] > 0.1]


@pytest.mark.parametrize(
    ("options", "pick", "words"),
    [
        ({}, best, "the 3 views of the highest score, where they are above 0.1"),
        ({"bank": 0, "support_role": "support"}, best, "the 3 views of the highest"),
        ({"aggregate": "mean"}, best, "the 3 views of the highest"),
        (
            {"detection": "quantile", "quantile": 0.75},
            lambda s, columns, _: sorted(columns, key=lambda k: (-s[k], k))[
                : len(columns) // 4
            ],
            "the views above the 0.75 quantile",
        ),
        (
            {"detection": "oracle"},
            lambda _, columns, same: [k for k in columns if same(k)],
            "all views of images with its label (oracle)",
        ),
    ],
)
def test_returns_what_its_policy_takes(options, pick, words):
    objective = tiny.build(**options)
    batch = tiny.batch(objective, 0)
    compared = objective.compared(batch.views)
    found = objective.detect(compared, batch.label, step=STEP)
    assert found.policy.startswith(words)
    for side in compared:
        np.testing.assert_allclose(np.linalg.norm(side, axis=-1), 1, rtol=1e-5)

    views = compared.candidates.shape[0]
    rows = compared.candidates.numpy().reshape(-1, tiny.DIM)
    aggregate = options.get("aggregate", "max")
    scores = tiny.scores_of(compared.references.numpy(), rows, aggregate)
    labels = np.tile(batch.label.numpy(), views)
    for image in range(tiny.IMAGES):
        columns = [k for k in range(len(rows)) if k % tiny.IMAGES != image]
        wanted = pick(scores[image], columns, lambda k, i=image: labels[k] == labels[i])
        assert set(np.flatnonzero(found.chosen[image])) == set(wanted)
        np.testing.assert_allclose(
            found.scores.numpy()[image][columns], scores[image][columns], rtol=1e-5
        )


def test_scores_what_training_scores():
    momentum = tiny.build(bank=5)
    # The twin starts with separate weights, so it is known which encoder was used.
    batch = tiny.batch(momentum, 0)
    compared = momentum.compared(batch.views)
    groups = list(momentum.requires)
    twin = tiny.embed(momentum, batch.views, groups, momentum=True)
    online = tiny.embed(momentum, batch.views, groups, momentum=False)
    assert compared.references.shape == twin.shape
    assert np.abs(twin - online).max() > 0.1
    np.testing.assert_array_equal(compared.references, compared.candidates)


def test_is_compared_with_as_many_images_as_in_training():
    assert tiny.build(bank=8).compared_images(64) == 64 * 8 // 4
    assert tiny.build(bank=0).compared_images(64) == 64


def test_without_a_policy_nothing_is_detected():
    objective = tiny.build(false_negatives="ignore", topk=None, threshold=None)
    batch = tiny.batch(objective, 0)
    compared = objective.compared(batch.views)
    assert objective.detect(compared, batch.label, step=STEP) is None


def test_more_than_there_are_is_refused():
    objective = tiny.build(topk=18, bank=8)
    compared = objective.compared(tiny.batch(objective, 0).views)
    few = type(compared)(*(side[:, :2] for side in compared))
    with pytest.raises(UserError, match="topk is 18, and an image has only 4 cand"):
        objective.detect(few, tf.zeros([2], tf.int32), step=STEP)
