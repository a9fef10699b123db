"""The whole objective on replicas and under XLA: nothing changes."""

from __future__ import annotations

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from sslkit import replica
from sslkit.api import Batch

_spec = importlib.util.spec_from_file_location(
    "fnc_tiny", pathlib.Path(__file__).with_name("tiny.py")
)
tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny)

CASES = {
    "batch, in blocks": {"bank": 0, "block": 7, "measure_detection": True},
    "oracle, lazy": {
        "detection": "oracle",
        "bank": 9,
        "bank_fill": "lazy",
        "measure_detection": True,
        "block": 7,
    },
    "quantile, support alone": {
        "detection": "quantile",
        "quantile": 0.8,
        "support_role": "support",
        "support_encoder": "online",
        "false_negatives": "eliminate",
    },
}


def run(strategy, options, *, jit=False):
    """Makes two calls; returns mean loss, metrics, gradients and the bank's state."""
    replicas = strategy.num_replicas_in_sync
    share = tiny.IMAGES // replicas
    with strategy.scope():
        objective = tiny.build(images=share, **options)
    weights = [weight.value for weight in objective.trainable_variables]

    @tf.function(jit_compile=jit)
    def replica_step(batch):
        with tf.GradientTape() as tape:
            outcome = objective(batch, step=tf.constant(0, tf.int64))
        gradients = tape.gradient(outcome.loss, weights)
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        return replica.mean((outcome.loss, dict(outcome.metrics), gradients))

    everywhere = tf.function(lambda batch: strategy.run(replica_step, args=(batch,)))
    for seed in (0, 1):
        whole = tiny.batch(objective, seed)

        def part(context, whole=whole):
            start = context.replica_id_in_sync_group * share
            rows = slice(start, start + share)
            return Batch(
                whole.views.map(lambda stack: stack[:, rows]).stacks,
                whole.label[rows],
            )

        shards = strategy.experimental_distribute_values_from_function(part)
        outputs = everywhere(shards)
    outputs = tf.nest.map_structure(
        lambda out: strategy.experimental_local_results(out)[0].numpy(), outputs
    )
    bank = [] if objective.bank is None else objective.bank.variables
    return outputs, [variable.numpy() for variable in bank]


def check(found, wanted):
    for ours, theirs in zip(
        tf.nest.flatten(found), tf.nest.flatten(wanted), strict=True
    ):
        # Float32 moments of 3 images at a time, merged.
        atol = 2e-5 * max(1.0, np.abs(theirs).max())
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=atol)


# Each is traced or compiled for seconds; by default the laws hold FNC with a bank to
# the same, and ./test_golden_replicas.py the loss on replicas.
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("case", CASES)
def test_replicas_change_nothing(case, mirrored):
    alone = run(tf.distribute.get_strategy(), CASES[case])
    check(run(mirrored(2), CASES[case]), alone)


@pytest.mark.parametrize("case", CASES)
def test_xla_changes_nothing(case):
    strategy = tf.distribute.get_strategy()
    check(run(strategy, CASES[case], jit=True), run(strategy, CASES[case]))
