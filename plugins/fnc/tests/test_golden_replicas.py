"""The loss and its gradient against the published implementation, on replicas."""

from __future__ import annotations

import itertools

import numpy as np
import tensorflow as tf

from sslkit.objectives import gather_view_major


def run(strategy, function, *inputs):
    """Runs a function on every replica.

    Args:
        strategy: of the replicas.
        function: inputs of one replica -> list of tensors.
        inputs: [replicas, ...] each.

    Returns:
        The tensors as [replicas, ...].
    """
    values = [
        strategy.experimental_distribute_values_from_function(
            lambda context, rows=rows: tf.constant(
                rows[context.replica_id_in_sync_group]
            )
        )
        for rows in inputs
    ]
    outputs = tf.function(lambda: strategy.run(function, args=values))()
    return [
        np.stack([part.numpy() for part in strategy.experimental_local_results(out)])
        for out in outputs
    ]


def by_input(cases):
    """Groups cases with one input: one function for all of them is traced sooner."""
    return [
        list(group) for _, group in itertools.groupby(cases, lambda case: case["input"])
    ]


def check(published, outputs, group, kind):
    for case, (losses, gradients, counts) in zip(
        group, zip(*[iter(outputs)] * 3, strict=True), strict=True
    ):
        name = case["name"]
        published.check(
            losses,
            gradients,
            published.outputs[f"{name}/losses"],
            published.outputs[f"{name}/{kind}"],
            name,
        )
        np.testing.assert_array_equal(counts, case["fn_total"], err_msg=name)


def test_batch_candidates(published, mirrored):
    cases = published.cases("replica")
    for group in by_input(cases):
        replicas = group[0]["replicas"]

        def step(hidden, group=group, replicas=replicas):
            outputs = []
            for case in group:
                with tf.GradientTape() as tape:
                    tape.watch(hidden)
                    anchors = published.views(hidden, case)
                    candidates = gather_view_major(anchors)
                    detected = published.detect(anchors, candidates, case)
                    loss = published.loss(anchors, candidates, detected, case)
                    # Gradients of gathered tensors add up the replicas' losses.
                    shared = loss / replicas
                count = tf.reduce_sum(detected.sizes()[0])
                outputs += [loss, tape.gradient(shared, hidden), count]
            return outputs

        inputs = published.inputs[group[0]["input"]]
        outputs = run(mirrored(replicas), step, inputs)
        check(published, outputs, group, "grads")
        everyone = published.inputs[group[0]["input"] + "_global"]
        for case in group:
            loss, _, _ = published.batch_loss(everyone, case)
            np.testing.assert_allclose(
                loss,
                case["single_replica_global_loss"],
                rtol=published.loss_rtol,
                err_msg=case["name"],
            )
    assert len(cases) == 24


def test_bank_candidates(published, mirrored):
    cases = published.cases("memory_replica")
    for group in by_input(cases):
        first = group[0]
        bank = published.inputs[first["input"] + "_memory"]

        def step(hidden, references, group=group, bank=bank):
            outputs = []
            for case in group:
                with tf.GradientTape() as tape:
                    tape.watch(hidden)
                    candidates = tf.constant(bank)
                    detected = published.detect(
                        published.views(references, case), candidates, case
                    )
                    loss = published.loss(
                        published.views(hidden, case),
                        candidates,
                        detected,
                        case,
                        through_candidates=False,
                    )
                count = tf.reduce_sum(detected.sizes()[0])
                outputs += [loss, tape.gradient(loss, hidden), count]
            return outputs

        def shards(kind, case=first):
            rows = published.inputs[case["input"] + kind]
            rows = rows.reshape(
                case["views"], case["replicas"], case["local_batch"], -1
            )
            rows = rows.transpose(1, 0, 2, 3)
            return rows.reshape(case["replicas"], -1, rows.shape[3])

        outputs = run(
            mirrored(first["replicas"]),
            step,
            shards("_hidden_global"),
            shards("_hidden_ema_global"),
        )
        check(published, outputs, group, "local_grads")
    assert len(cases) == 8
