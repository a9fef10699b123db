"""The loss and its gradient against the published implementation, on replicas."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from sslkit.objectives import gather_view_major


def run(strategy, function, *inputs):
    """Runs a function on every replica, without tracing, which would take longer.

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
    outputs = strategy.run(function, args=values)
    return [
        np.stack([part.numpy() for part in strategy.experimental_local_results(out)])
        for out in outputs
    ]


def check(published, outputs, case, kind):
    losses, gradients, counts = outputs
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
    for case in cases:
        replicas = case["replicas"]

        def step(hidden, case=case, replicas=replicas):
            with tf.GradientTape() as tape:
                tape.watch(hidden)
                anchors = published.views(hidden, case)
                candidates = gather_view_major(anchors)
                detected = published.detect(anchors, candidates, case)
                loss = published.loss(anchors, candidates, detected, case)
                # Gradients of gathered tensors add up the replicas' losses.
                shared = loss / replicas
            count = tf.reduce_sum(detected.sizes()[0])
            return [loss, tape.gradient(shared, hidden), count]

        inputs = published.inputs[case["input"]]
        outputs = run(mirrored(replicas), step, inputs)
        check(published, outputs, case, "grads")
        everyone = published.inputs[case["input"] + "_global"]
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
    for case in cases:
        bank = tf.constant(published.inputs[case["input"] + "_memory"])

        def step(hidden, references, case=case, bank=bank):
            with tf.GradientTape() as tape:
                tape.watch(hidden)
                detected = published.detect(
                    published.views(references, case), bank, case
                )
                loss = published.loss(
                    published.views(hidden, case),
                    bank,
                    detected,
                    case,
                    through_candidates=False,
                )
            count = tf.reduce_sum(detected.sizes()[0])
            return [loss, tape.gradient(loss, hidden), count]

        def shards(kind, case=case):
            rows = published.inputs[case["input"] + kind]
            rows = rows.reshape(
                case["views"], case["replicas"], case["local_batch"], -1
            )
            rows = rows.transpose(1, 0, 2, 3)
            return rows.reshape(case["replicas"], -1, rows.shape[3])

        outputs = run(
            mirrored(case["replicas"]),
            step,
            shards("_hidden_global"),
            shards("_hidden_ema_global"),
        )
        check(published, outputs, case, "local_grads")
    assert len(cases) == 8
