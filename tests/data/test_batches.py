import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.autograph.core import ag_ctx

from sslkit.api import Augmentation, ViewGroup
from sslkit.data import Source, evaluation_batches, training_batches
from sslkit.data.batches import evaluation_indices, training_indices
from sslkit.errors import UserError
from sslkit.source import is_of_pipeline


class Numbers(Source):
    """Example i is one pixel of colour i with label i % 3."""

    name = "numbers"
    classes = 3
    label_names = ("a", "b", "c")

    def __init__(self, size):
        self.size = size

    def example(self, index):
        image = tf.fill([1, 1, 3], tf.cast(index, tf.uint8))
        return image, tf.cast(index % 3, tf.int32)


class Noise(Augmentation):
    """One view shows the image, the other group draws two from the seed."""

    groups = {"plain": ViewGroup(1, 2), "noise": ViewGroup(2, 4)}  # noqa: RUF012

    def example(self, image, seed):
        noise = tf.random.stateless_uniform(
            [2, 4, 4, 3], seed, maxval=256, dtype=tf.int32
        )
        return {
            "plain": tf.tile(image, [2, 2, 1])[tf.newaxis],
            "noise": tf.cast(noise, tf.uint8),
        }


def host(index=0, hosts=1, replicas=1):
    return tf.distribute.InputContext(hosts, index, replicas)


def batches(start=0, stop=6, *, context=None, batch_size=12, size=10, seed=3):
    return list(
        training_batches(
            Numbers(size),
            Noise(),
            seed=seed,
            batch_size=batch_size,
            start_step=start,
            stop_step=stop,
            context=context or host(),
        ).as_numpy_iterator()
    )


def colours(batch):
    return batch.views["plain"][:, 0, 0, 0, 0]


def assert_same(found, wanted):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, other)


def test_autograph_rewrites_nothing(monkeypatch):
    seen = []

    def look(self, index):
        seen.append(ag_ctx.control_status_ctx().status)
        return tf.zeros([1, 1, 3], tf.uint8), tf.constant(0)

    monkeypatch.setattr(Numbers, "example", look)
    batches(stop=1)
    trained = len(seen)
    evaluation_batches(
        Numbers(4), size=1, batch_size=4, view=lambda image: tf.identity(image)
    )
    assert 0 < trained < len(seen)
    assert set(seen) == {ag_ctx.Status.DISABLED}


def test_shapes_are_static():
    spec = training_batches(
        Numbers(10),
        Noise(),
        seed=0,
        batch_size=12,
        start_step=0,
        stop_step=1,
        context=host(replicas=2),
    ).element_spec
    assert spec.views["plain"] == tf.TensorSpec([6, 1, 2, 2, 3], tf.uint8)
    assert spec.views["noise"] == tf.TensorSpec([6, 2, 4, 4, 3], tf.uint8)
    assert spec.label == tf.TensorSpec([6], tf.int32)
    assert spec.example_seeds == tf.TensorSpec([6, 2], tf.int32)


def test_batches_span_epochs_and_drop_nothing():
    found = batches(0, 5)  # 5 batches of 12 are 6 epochs of 10
    seen = np.concatenate([colours(b) for b in found]).reshape([6, 10])
    for epoch in seen:
        assert sorted(epoch) == list(range(10))
    assert len({tuple(epoch) for epoch in seen}) == 6
    for batch in found:
        np.testing.assert_array_equal(batch.label, colours(batch) % 3)


def test_a_batch_may_hold_many_epochs():
    found = colours(batches(0, 1, batch_size=12, size=3)[0])
    assert np.bincount(found).tolist() == [4, 4, 4]


@pytest.mark.parametrize("step", [1, 4])
def test_resume_equals_the_tail(step):
    assert_same(batches(step, 6), batches(0, 6)[step:])


def test_resume_far_into_a_run_reads_only_what_it_needs():
    reads = []

    class Counted(Numbers):
        def example(self, index):
            tf.numpy_function(lambda place: reads.append(int(place)), [index], [])
            return super().example(index)

    start = 10**9
    (batch,) = training_batches(
        Counted(10),
        Noise(),
        seed=3,
        batch_size=10,
        start_step=start,
        stop_step=start + 1,
        context=host(),
    ).as_numpy_iterator()
    # A whole epoch, each example once, and nothing before it.
    assert sorted(reads) == list(range(10))
    assert sorted(colours(batch)) == list(range(10))


@pytest.mark.parametrize(("hosts", "replicas"), [(1, 2), (1, 4), (2, 2), (2, 4)])
def test_replicas_and_hosts_share_the_global_batch(hosts, replicas):
    wanted = batches()
    pipelines = [
        batches(context=host(h, hosts, replicas), batch_size=12) for h in range(hosts)
    ]
    each = replicas // hosts
    for step, whole in enumerate(wanted):
        parts = [p[step * each + j] for p in pipelines for j in range(each)]
        for field in ("label", "example_seeds"):
            joined = np.concatenate([getattr(part, field) for part in parts])
            np.testing.assert_array_equal(joined, getattr(whole, field))
        for group, view in whole.views.items():
            joined = np.concatenate([part.views[group] for part in parts])
            np.testing.assert_array_equal(joined, view)


def test_views_follow_the_example_and_the_epoch():
    seeds = {}
    for batch in batches(0, 5):
        for colour, seed, noise in zip(
            colours(batch), batch.example_seeds, batch.views["noise"], strict=True
        ):
            seeds.setdefault(int(colour), []).append(tuple(seed))
            drawn = tf.random.stateless_uniform([2, 4, 4, 3], seed, 0, 256, tf.int32)
            np.testing.assert_array_equal(noise, drawn)
    assert all(len(set(drawn)) == 6 for drawn in seeds.values())


def test_training_indices_are_what_the_batches_hold():
    for step, batch in enumerate(batches(0, 3)):
        named = training_indices(Numbers(10), step, step + 1, seed=3, batch_size=12)
        assert named == colours(batch).tolist()


@pytest.mark.parametrize("replicas", [1, 2])
def test_errors_of_the_pipeline_are_told_from_those_of_the_step(mirrored, replicas):
    strategy = mirrored(replicas)

    def fail(index, at):
        wrong = tf.debugging.Assert(index != at, ["it broke"])
        with tf.control_dependencies([wrong] if wrong is not None else []):
            return tf.identity(index)

    def error(*, reading, computing):
        made = tf.data.Dataset.range(8).map(lambda index: fail(index, reading)).batch(2)
        iterator = iter(strategy.distribute_datasets_from_function(lambda _: made))

        @tf.function
        def step(iterator):
            return strategy.run(lambda x: fail(x[0], computing), args=(next(iterator),))

        with pytest.raises(tf.errors.InvalidArgumentError, match="it broke") as caught:
            for _ in range(4):
                step(iterator)
        return caught.value

    assert is_of_pipeline(error(reading=5, computing=-1))
    assert not is_of_pipeline(error(reading=-1, computing=4))


@pytest.mark.parametrize(
    ("trace", "reading"),
    [
        ("[[{{node Assert/Assert}}]] [[IteratorGetNext]]", True),
        ("[[{{node Assert/Assert}}]] [[while/body/_9/IteratorGetNext_1]]", True),
        ("[[{{node cond/else/_1/cond/IteratorGetNext_1}}]]", True),
        ("[[MultiDeviceIteratorGetNextFromShard]] [[RemoteCall]]", True),
        ("[[{{node Assert/Assert}}]] [[cond/IteratorGetNext_1/_17]]", False),
        ("[[{{node Assert/Assert}}]] [[Identity_2/_34]]", False),
    ],
)
def test_a_value_between_devices_in_a_trace_is_not_what_failed(trace, reading):
    error = tf.errors.InvalidArgumentError(None, None, f"it broke {trace}")
    assert is_of_pipeline(error) == reading


def test_batch_size_does_not_change_what_a_position_shows():
    wide, narrow = batches(0, 2, batch_size=12), batches(0, 6, batch_size=4)
    for field in ("label", "example_seeds"):
        np.testing.assert_array_equal(
            np.concatenate([getattr(b, field) for b in wide]),
            np.concatenate([getattr(b, field) for b in narrow]),
        )


@pytest.mark.parametrize(
    ("size", "replicas", "advice"),
    [(30, 4, "use 28 or 32"), (3, 4, "use 4"), (0, 1, "use 1"), (-8, 4, "use 4")],
)
def test_a_batch_that_cannot_be_divided_equally(size, replicas, advice):
    with pytest.raises(UserError) as error:
        batches(batch_size=size, context=host(replicas=replicas))
    assert str(error.value) == (
        f"batch_size {size} cannot be divided equally among {replicas} replicas; "
        f"{advice}"
    )


def test_groups_must_be_as_promised():
    class Forgetful(Noise):
        def example(self, image, seed):
            return {"plain": super().example(image, seed)["plain"]}

    with pytest.raises(ValueError, match=r"Forgetful.example made the groups"):
        training_batches(
            Numbers(4),
            Forgetful(),
            seed=0,
            batch_size=2,
            start_step=0,
            stop_step=1,
            context=host(),
        )


def view(image):
    return tf.tile(image, [2, 2, 1])


def evaluate(size=10, batch_size=4, **options):
    return list(
        evaluation_batches(
            Numbers(size), size=2, batch_size=batch_size, view=view, **options
        ).as_numpy_iterator()
    )


def test_evaluation_reads_each_example_once_in_order():
    found = evaluate()
    assert [b["images"].shape for b in found] == [(4, 2, 2, 3)] * 3
    joined = {key: np.concatenate([b[key] for b in found]) for key in found[0]}
    assert joined["index"].tolist() == [*range(10), -1, -1]
    assert joined["label"].tolist() == [i % 3 for i in range(10)] + [-1, -1]
    assert joined["weight"].tolist() == [1.0] * 10 + [0.0] * 2
    assert joined["images"][:, 1, 1, 2].tolist() == [*range(10), 0, 0]


def test_padding_reads_nothing():
    reads = []

    class Counted(Numbers):
        def example(self, index):
            tf.numpy_function(lambda place: reads.append(int(place)), [index], [])
            return super().example(index)

    found = evaluation_batches(Counted(3), size=2, batch_size=64, view=view)
    (batch,) = found.as_numpy_iterator()
    assert sorted(reads) == [0, 1, 2]
    assert batch["weight"].sum() == 3


@pytest.mark.parametrize("limit", [None, 7])
def test_evaluation_indices_are_what_the_batches_hold(limit):
    for number, batch in enumerate(evaluate(limit=limit)):
        named = evaluation_indices(
            Numbers(10), 4 * number, 4 * (number + 1), limit=limit
        )
        assert named == [index for index in batch["index"].tolist() if index >= 0]


def test_evaluation_limit_is_a_fixed_mixed_choice():
    chosen = [np.concatenate([b["index"] for b in evaluate(200, limit=50)])]
    chosen.append(np.concatenate([b["index"] for b in evaluate(200, 25, limit=50)]))
    real = [c[c >= 0].tolist() for c in chosen]
    assert real[0] == real[1]
    assert len(set(real[0])) == 50
    assert max(real[0]) > 150
    every = np.concatenate([b["index"] for b in evaluate(limit=99)])
    assert every[:10].tolist() == list(range(10))


def test_evaluation_shares_among_hosts_and_pads_the_last():
    parts = [evaluate(batch_size=8, context=host(h, 2, 4)) for h in range(2)]
    assert [len(part) for part in parts] == [4, 4]
    index = [np.concatenate([b["index"] for b in part]).tolist() for part in parts]
    assert index == [[0, 1, 2, 3, 8, 9, -1, -1], [4, 5, 6, 7, -1, -1, -1, -1]]


def test_evaluation_limit_must_be_positive():
    with pytest.raises(UserError, match="limit 0 leaves no example"):
        evaluate(limit=0)


def test_mirrored_replicas_get_consecutive_shares(two_replicas):
    wanted = batches(0, 3)
    iterator = iter(
        two_replicas.distribute_datasets_from_function(
            lambda context: training_batches(
                Numbers(10),
                Noise(),
                seed=3,
                batch_size=12,
                start_step=0,
                stop_step=3,
                context=context,
            )
        )
    )
    for whole in wanted:
        shares = two_replicas.experimental_local_results(next(iterator).example_seeds)
        assert len(shares) == 2
        np.testing.assert_array_equal(np.concatenate(shares), whole.example_seeds)
