"""A run on a TPU slice, as far as it can be tested without one.

The strategy is TensorFlow's, with fake cores; see `fake_tpu`.
"""

from __future__ import annotations

import functools
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from runners.cluster import Cluster
from runners.fake_tpu import fake_slice

from sslkit import config
from sslkit.checkpoints import Checkpoints, restore
from sslkit.data import data
from sslkit.optimize.lars import LARS
from sslkit.optimize.schedules import WarmupCosine
from sslkit.runners.tpu import TPU
from sslkit.testing import TinyBackbone, ToyMoCo
from sslkit.training.agreement import check_agreement
from sslkit.training.run import Training
from sslkit.views import CropFlip

HOSTS, CORES = 2, 2
REPLICAS = HOSTS * CORES
BATCH = 16


class Slice(TPU):
    """The runner, connected to a fake slice."""

    @functools.cached_property
    def strategy(self):
        return fake_slice(hosts=HOSTS, cores=CORES)


@pytest.fixture(scope="module")
def training(logical_devices):
    """A run with a bank, a twin, batch statistics and slots; nothing has run."""
    return Training(
        objective=functools.partial(ToyMoCo, TinyBackbone),
        augmentation=CropFlip(size=8, count=2),
        data=data(name="digits"),
        optimizer=LARS(weight_decay=1e-4),
        schedule=WarmupCosine(base=0.3, warmup_epochs=0.02),
        runner=Slice(),
        batch_size=BATCH,
        steps=6,
        inner_steps=3,
    )


@pytest.fixture(scope="module")
def iterator(training):
    return training.runner.iterate(functools.partial(training.batches, 0))


def traced(training, iterator):
    """Returns the device loop as a graph."""
    step = training.train_step()
    compiled = training.runner.compile(step, step.metrics)
    return compiled.get_concrete_function(iterator, tf.constant(3)).graph


@pytest.fixture(scope="module")
def loop(training, iterator):
    return traced(training, iterator)


@pytest.fixture(scope="module")
def cluster(loop):
    """The operations of each core in a step."""
    return Cluster(loop)


def test_says_what_will_run(training):
    assert training.describe()[-2] == (
        "runner: 4 replica(s) on 2 host(s); global batch 16, 4 per replica; seed 0"
    )


def test_every_variable_is_on_every_core(training):
    for name, variable in training.state.table.items():
        copies = training.runner.strategy.experimental_local_results(variable.value)
        assert len({copy.device for copy in copies}) == REPLICAS, name


def test_each_host_makes_the_batches_of_its_own_cores(training, iterator):
    """Together the hosts make, in order, the batch that one host would make."""
    alone = training.batches(0, tf.distribute.InputContext())
    whole = next(iter(alone))
    strategy = training.runner.strategy
    shares = next(iterator)
    for name in ("label", "example_seeds"):
        parts = strategy.experimental_local_results(getattr(shares, name))
        joined = np.concatenate([part.numpy() for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, name).numpy())
    parts = strategy.experimental_local_results(shares.views["instance"])
    joined = np.concatenate([part.numpy() for part in parts])
    np.testing.assert_array_equal(joined, whole.views["instance"].numpy())


def test_each_host_has_a_pipeline_of_its_own(training):
    asked = []

    def make(context):
        asked.append(
            (
                context.input_pipeline_id,
                context.num_input_pipelines,
                context.num_replicas_in_sync,
            )
        )
        return training.batches(0, context)

    training.runner.iterate(make)
    assert asked == [(0, HOSTS, REPLICAS), (1, HOSTS, REPLICAS)]


def test_shapes_of_batches_are_static(iterator):
    for spec in tf.nest.flatten(iterator.element_spec, expand_composites=True):
        assert spec.shape.is_fully_defined()


def test_several_steps_are_one_call(loop, cluster):
    """The step is in the program once, in a loop, for all cores."""
    assert cluster.replicas == REPLICAS
    assert [op.type for op in loop.get_operations()].count("While") == 1
    # Fetching the next batch is in the same loop, one fetch per core.
    assert cluster.beside["IteratorGetNext"] == REPLICAS


def test_cores_communicate_only_by_sums(cluster):
    """Broadcasting or gathering in another way costs a copy on every core."""
    assert cluster.collectives == {"CrossReplicaSum"}
    assert cluster.summed == {tf.float32}


def test_every_operation_compiles(cluster):
    assert cluster.without_kernel() == set()


def test_every_shape_is_static(cluster):
    assert cluster.dynamic() == []


@pytest.mark.slow
def test_a_whole_recipe_is_made_for_the_cores():
    """Views on the device, support views, detection and the losses of the plugin."""
    training = config.load(["gin/fnc_digits_pretrain.gin"]).train()
    training.runner = Slice()
    iterator = training.runner.iterate(functools.partial(training.batches, 0))
    cluster = Cluster(traced(training, iterator))
    assert cluster.collectives == {"CrossReplicaSum"}
    assert cluster.summed == {tf.float32}
    assert cluster.without_kernel() == set()
    assert cluster.dynamic() == []


def test_comparing_steps_uses_only_types_that_a_core_has(training, monkeypatch):
    """The comparison itself cannot run here, but its program can be examined."""
    seen = []

    def run(function):
        graph = tf.function(function).get_concrete_function().graph
        seen.extend(t.dtype for op in graph.get_operations() for t in op.outputs)
        return tf.constant([[0.0, 6.0], [0.0, 0.0]])

    strategy = SimpleNamespace(
        num_replicas_in_sync=2,
        run=run,
        experimental_local_results=lambda value: [value],
    )
    with pytest.raises(Exception, match=r"of steps 6, 0\."):
        check_agreement(strategy, 6)
    assert tf.float64 not in seen


def test_the_encoder_answers_outside_the_step(training):
    """As in evaluation, which has no strategy."""
    encoder = training.objective.encoder
    encode = tf.function(lambda images: encoder(images, training=False))
    features = encode(tf.ones([2, 8, 8, 3]))
    assert features.shape == (2, encoder.feature_dim)


def test_a_checkpoint_in_a_bucket_comes_back_to_every_core(training):
    table = training.state.table
    store = Checkpoints("ram://bucket/slice/checkpoints")
    before = {name: variable.numpy() for name, variable in table.items()}
    prefix = store.save(table, step=3)
    for variable in table.values():
        variable.assign(tf.ones_like(variable.value))
    restore(table, prefix)
    for name, variable in table.items():
        copies = training.runner.strategy.experimental_local_results(variable.value)
        for copy in copies:
            np.testing.assert_array_equal(copy.numpy(), before[name], err_msg=name)
