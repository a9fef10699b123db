"""Every option of the objective against loops over its own embeddings."""

from __future__ import annotations

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from sslkit.api import Views

_spec = importlib.util.spec_from_file_location(
    "fnc_tiny", pathlib.Path(__file__).with_name("tiny.py")
)
tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny)

# Float32 embeddings, compared in float64.
RTOL = 1e-5
# The full matrix is compared with blocks elsewhere, and here only for the option.
BLOCKS = pytest.mark.parametrize("block", [7, pytest.param(0, marks=pytest.mark.slow)])


def topk(scores, columns, _, count=3, threshold=0.1):
    best = sorted(columns, key=lambda k: (-scores[k], k))[:count]
    return [k for k in best if scores[k] > threshold]


def above(scores, columns, _):
    return [k for k in columns if scores[k] > 0.1]


def three(scores, columns, same):
    return topk(scores, columns, same, threshold=-2)


def top_quarter(scores, columns, _):
    return topk(scores, columns, _, count=len(columns) // 4, threshold=-2)


def same_label(_, columns, same):
    return [k for k in columns if same(k)]


# Options, how they choose false negatives, and what is compared: which groups with
# which encoder, and whether the bank's encoder is the same.
CASES = {
    "released": ({}, topk),
    "no bank": ({"bank": 0}, topk),
    "eliminate": ({"false_negatives": "eliminate"}, topk),
    "eliminate, no bank": ({"false_negatives": "eliminate", "bank": 0}, topk),
    "ignore": ({"false_negatives": "ignore"}, None),
    "mean": ({"aggregate": "mean"}, topk),
    "threshold": ({"topk": None}, above),
    "threshold, eliminate": ({"topk": None, "false_negatives": "eliminate"}, above),
    "topk": ({"threshold": None}, three),
    "quantile": ({"detection": "quantile", "quantile": 0.75}, top_quarter),
    "quantile, lazy": (
        {"detection": "quantile", "quantile": 0.75, "bank_fill": "lazy", "bank": 9},
        top_quarter,
    ),
    "oracle": ({"detection": "oracle"}, same_label),
    "oracle, no bank": ({"detection": "oracle", "bank": 0}, same_label),
    "oracle, eliminate": (
        {"detection": "oracle", "false_negatives": "eliminate"},
        same_label,
    ),
    "lazy": ({"bank_fill": "lazy", "bank": 9}, topk),
    "zeros": ({"bank": 9, "threshold": -1}, topk),
    "no support": ({"support": 0}, topk),
    "more support": ({"support": 3}, topk),
    "support alone": ({"support_role": "support"}, topk),
    "support alone, online": (
        {"support_role": "support", "support_encoder": "online"},
        topk,
    ),
    "support alone, no bank": ({"support_role": "support", "bank": 0}, topk),
    "support alone, no bank, momentum": (
        {"support_role": "support", "bank": 0, "support_encoder": "momentum"},
        topk,
    ),
    "online support": ({"support_encoder": "online"}, topk),
    "momentum support": ({"support_encoder": "momentum", "bank": 0}, topk),
    "copied": ({"momentum_init": "copy"}, topk),
}


def expected(objective, batch, labels, options, pick):
    """Returns loss and number of false negatives, by loops."""
    everything = list(objective.requires)
    alone = options.get("support_role") == "support"
    anchored = ["instance"] if alone else everything
    anchors = tiny.embed(objective, batch.views, anchored, momentum=False)
    bank = options.get("bank", 5)
    encoder = options.get("support_encoder") or ("momentum" if bank else "online")
    groups = ["support"] if alone else everything
    # The momentum encoder normalises over all views of its single forward pass.
    passed = everything if alone and bank and encoder == "momentum" else groups
    references = tiny.embed(
        objective, batch.views, passed, momentum=encoder == "momentum"
    )[-sum(objective.requires[group] for group in groups) :]
    if bank:
        candidates = np.float64(objective.bank.rows.numpy())
    else:
        candidates = anchors.reshape(-1, tiny.DIM)
    written = len(candidates)
    if options.get("bank_fill") == "lazy":
        written = min(written, 2 * len(anchors) * tiny.IMAGES)
    aggregate = options.get("aggregate", "max")
    scores = tiny.scores_of(references, candidates, aggregate)
    found = [
        pick(
            scores[i],
            tiny.candidates_of(i, written, len(anchors)),
            lambda k, i=i: labels[k] == labels[i],
        )
        if pick
        else []
        for i in range(tiny.IMAGES)
    ]
    mode = options.get("false_negatives", "attract")
    loss = tiny.loss_of(anchors, candidates, found, mode=mode, written=written)
    return loss, np.mean([len(some) for some in found])


# Two options that are each in a case of their own.
TOGETHER = {
    *("eliminate, no bank", "threshold, eliminate", "quantile, lazy"),
    *("oracle, no bank", "oracle, eliminate"),
    *("support alone, online", "support alone, no bank"),
}


@BLOCKS
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.slow if case in TOGETHER else ())
        for case in CASES
    ],
)
def test_equals_a_loop(case, block):
    options, pick = CASES[case]
    objective = tiny.build(block=block, **options)
    now = (0, 1, 2, 0, 1, 0)
    before = (1, 1, 1, 2, 2, 2)
    objective(tiny.batch(objective, 0, before), step=tf.constant(0, tf.int64))
    objective.after_update(step=tf.constant(0, tf.int64))
    batch = tiny.batch(objective, 1, now)
    outcome = objective(batch, step=tf.constant(1, tf.int64))
    views = 2 if options.get("support_role") == "support" else objective._views
    labels = [*now * views, *before * views, *[-1] * 60]
    loss, count = expected(objective, batch, labels, options, pick)
    np.testing.assert_allclose(outcome.loss, loss, rtol=RTOL)
    if pick is None:
        assert "false_negatives" not in outcome.metrics
    else:
        assert count > 0
        np.testing.assert_allclose(outcome.metrics["false_negatives"], count)


@BLOCKS
def test_measures_detection(block):
    objective = tiny.build(measure_detection=True, block=block, bank=9)
    first = (1, 1, 1, 2, 2, 2)
    objective(tiny.batch(objective, 0, first), step=tf.constant(0, tf.int64))
    now = (0, 1, -1, 0, 1, 2)
    batch = tiny.batch(objective, 1, now)
    metrics = objective(batch, step=tf.constant(1, tf.int64)).metrics
    candidates = np.float64(objective.bank.rows.numpy())
    references = tiny.embed(
        objective, batch.views, ["instance", "support"], momentum=True
    )
    labels = [*now * 4, *first * 4, *[-1] * 6]
    scores = tiny.scores_of(references, candidates, "max")
    judged = right = present = 0
    for i in range(tiny.IMAGES):
        columns = tiny.candidates_of(i, len(candidates), 4)
        found = topk(scores[i], columns, None)
        if now[i] >= 0:
            judged += sum(labels[k] >= 0 for k in found)
            right += sum(labels[k] == now[i] for k in found)
            present += sum(labels[k] == now[i] for k in columns)
    assert 0 < right < judged
    wanted = {
        "false_negatives_judged": judged / tiny.IMAGES,
        "false_negatives_right": right / tiny.IMAGES,
        "false_negatives_present": present / tiny.IMAGES,
        "detection_precision": right / judged,
        "detection_recall": right / present,
    }
    for name, value in wanted.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("bank", [0, 9])
def test_an_unlabelled_pair_is_never_of_one_class(bank):
    """Neither for the oracle nor for its measures."""
    objective = tiny.build(detection="oracle", measure_detection=True, bank=bank)
    for seed in (0, 1):
        batch = tiny.batch(objective, seed, (-1, -1, -1, -1, -1, 4))
        metrics = objective(batch, step=tf.constant(seed, tf.int64)).metrics
    # Image 5 is in the bank once more, in four views; no other image has its label.
    last = 4 / tiny.IMAGES if bank else 0
    np.testing.assert_allclose(metrics["false_negatives"], last)
    np.testing.assert_allclose(metrics["false_negatives_present"], last)


def test_ignored_false_negatives_can_be_measured():
    options = {"false_negatives": "ignore", "measure_detection": True}
    objective = tiny.build(**options)
    metrics = objective(tiny.batch(objective, 0), step=tf.constant(0, tf.int64)).metrics
    assert metrics["detection_recall"] > 0
    assert objective.needs_labels


def test_support_views_only_for_scores_get_no_backward_pass():
    for encoder in ("online", "momentum"):
        objective = tiny.build(
            support_role="support", support_encoder=encoder, bank=0, topk=None
        )
        batch = tiny.batch(objective, 0)
        with tf.GradientTape() as tape:
            tape.watch(batch.stacks)
            loss = objective(batch, step=tf.constant(0, tf.int64)).loss
        gradient = Views(tape.gradient(loss, batch.stacks))
        assert not np.any(gradient["support"])
        assert np.any(gradient["instance"])


def test_momentum_encoder_starts_by_itself_or_as_a_copy():
    for init, same in (("random", False), ("copy", True)):
        objective = tiny.build(momentum_init=init)
        kernels = [
            layer.dense.kernel.numpy()
            for layer in (objective.encoder, objective.momentum.layers[0])
        ]
        assert np.array_equal(*kernels) == same


@pytest.mark.parametrize(
    ("schedule", "step", "kept"),
    [
        ("constant", 0, 0.6),
        ("constant", 75, 0.6),
        ("cosine", 0, 0.6),
        ("cosine", 50, 0.8),
        ("cosine", 100, 1.0),
    ],
)
def test_decay(schedule, step, kept):
    objective = tiny.build(decay=0.6, decay_schedule=schedule)
    objective.steps = 100
    online = objective.encoder.dense.kernel.numpy()
    twin = objective.momentum.layers[0].dense.kernel
    before = twin.numpy()
    objective.after_update(step=tf.constant(step, tf.int64))
    wanted = kept * before + (1 - kept) * online
    np.testing.assert_allclose(twin.numpy(), wanted, rtol=1e-6, atol=1e-7)


def health(step=1, found=1.5, **options):
    objective = tiny.build(**options)
    return objective.health(step=step, metrics={"false_negatives": found})


def test_measures_bank_momentum_encoder_and_detector():
    told = health(momentum_init="copy")
    # Nothing is written yet, and no weight has changed.
    assert told == {
        "twin_distance": 0.0,
        "bank_filled": 0.0,
        "bank_age": 0.0,
        "false_negatives": 1.5,
        "detected_share": 0.5,
    }
    # Of two random networks.
    assert 0.5 < health()["twin_distance"] < 2


@pytest.mark.parametrize(
    ("options", "share"),
    [
        # 5 batches of 6 rows, less the 4 views of the image itself.
        ({"topk": None}, 1.5 / 26),
        ({"topk": None, "bank": 0}, None),
        ({"threshold": None}, None),
        ({"detection": "quantile", "quantile": 0.75}, None),
    ],
)
def test_a_detector_that_takes_a_fixed_number_is_not_judged(options, share):
    assert health(**options).get("detected_share") == (share and pytest.approx(share))


def test_without_a_detector_there_is_no_measure_of_it():
    told = health(false_negatives="ignore", bank=0)
    assert told == {}
