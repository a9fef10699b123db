"""Labels are examined before anything is computed."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from sslkit.data import Source, data, evaluation_batches
from sslkit.data.labelling import LOOK, labelling


class Counted(Source):
    """A source with given labels; it counts reads."""

    name = "counted"
    classes = 3
    label_names = ()

    def __init__(self, labels, *, unreadable=()):
        self.size = len(labels)
        self.reads = []
        self._given = np.array(labels, np.int32)
        self._broken = unreadable

    def example(self, index):
        def read(place):
            self.reads.append(int(place))
            if place in self._broken:
                raise ValueError("broken")
            return self._given[place]

        label = tf.ensure_shape(tf.numpy_function(read, [index], tf.int32), [])
        return tf.zeros([1, 1, 3], tf.uint8), label


class Known(Counted):
    """Knows its labels without reading."""

    def labels(self):
        return self._given


@pytest.mark.parametrize("kind", [Counted, Known])
@pytest.mark.parametrize(
    ("labels", "found", "said"),
    [
        ([0, 1, 2, 0], (4, 4, 4), "4 of 4 examples have a label"),
        ([0, -1, 2, -1], (2, 4, 4), "2 of 4 examples have a label"),
        ([-1, -1, -1, -1], (0, 4, 4), "0 of 4 examples have a label"),
    ],
)
def test_counts_labels(kind, labels, found, said):
    source = kind(labels)
    looked = labelling(source)
    assert looked == found
    assert str(looked) == said
    assert looked.any == (found[0] > 0)
    assert looked.all == (found[0] == 4)
    assert bool(source.reads) == (kind is Counted)


def test_a_source_without_classes_is_not_read():
    source = Counted([0, 0])
    source.classes = None
    assert labelling(source) == (0, 2, 2)
    assert not source.reads


def test_a_limited_number_of_mixed_examples_is_examined():
    source = Counted([*[-1] * 3000, *[0] * 3000])
    looked = labelling(source)
    assert looked.looked == len(source.reads) == LOOK
    # A fair draw of a thousand; its standard error is 16.
    assert abs(looked.labelled - LOOK / 2) < 80
    assert f"of {LOOK:,} examples looked at, of 6,000, have a label" in str(looked)


@pytest.mark.parametrize("kind", [Counted, Known])
def test_examines_the_examples_that_will_be_used(kind):
    size, limit = 50, 8
    batches = evaluation_batches(
        Counted([0] * size),
        size=1,
        batch_size=limit,
        view=lambda image: image,
        limit=limit,
    )
    (used,) = (batch["index"] for batch in batches.as_numpy_iterator())
    labels = np.zeros(size, int)
    labels[used] = -1
    assert labelling(kind(labels), limit=limit) == (0, limit, size)
    assert labelling(kind(labels)) == (size - limit, size, size)


def test_an_unreadable_example_has_no_label():
    assert labelling(Counted([0, 1, 2, 0], unreadable=[1])) == (3, 4, 4)


@pytest.mark.parametrize("cache", [None, "memory"])
def test_digits_know_their_labels(cache):
    source = data(name="digits", cache=cache).source("test")
    read = source.read(tf.data.Dataset.range(source.size)).as_numpy_iterator()
    np.testing.assert_array_equal(source.labels(), [one["label"] for one in read])
    assert labelling(source).all
