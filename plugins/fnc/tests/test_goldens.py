"""The loss and its gradient against the published implementation, on one replica."""

from __future__ import annotations

import tensorflow as tf


def check_count(detected, case):
    (found,) = detected.sizes()
    if "fn_total" in case:
        assert int(tf.reduce_sum(found)) == case["fn_total"], case


def test_batch_candidates(published, tied):
    cases = [case for case in published.cases("plain") if not tied(case)]
    for index, case in enumerate(cases):
        # Some in blocks, which other tests compare with the full matrix in general.
        block = 13 if index % 40 == 0 else None
        hidden = published.inputs[case["input"]]
        loss, gradient, detected = published.batch_loss(hidden, case, block=block)
        check_count(detected, case)
        published.check_case(loss, gradient, case)
    assert len(cases) == 284


def test_bank_candidates(published):
    cases = published.cases("memory")
    for index, case in enumerate(cases):
        block = 13 if index % 40 == 0 else None
        hidden = tf.constant(published.inputs[case["input"] + "_hidden"])
        references = published.inputs[case["input"] + "_hidden_ema"]
        bank = tf.constant(published.inputs[case["input"] + "_memory"])
        with tf.GradientTape() as tape:
            tape.watch(hidden)
            detected = published.detect(
                published.views(references, case), bank, case, block
            )
            loss = published.loss(
                published.views(hidden, case),
                bank,
                detected,
                case,
                through_candidates=False,
                block=block,
            )
        check_count(detected, case)
        published.check_case(loss, tape.gradient(loss, hidden), case)
    assert len(cases) == 84
