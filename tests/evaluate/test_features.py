import types

import numpy as np
import pytest
import tensorflow as tf

from sslkit.errors import UserError
from sslkit.evaluate.features import evaluation_views, extract, frozen


def padded_batches(images: np.ndarray, batch: int) -> tf.data.Dataset:
    n = len(images)
    pad = -n % batch
    rows = {
        "images": np.pad(images, [(0, pad), (0, 0), (0, 0), (0, 0)]),
        "label": np.pad(np.arange(n, dtype=np.int32), (0, pad), constant_values=-1),
        "weight": np.pad(np.ones(n, np.float32), (0, pad)),
        "index": np.pad(np.arange(n, dtype=np.int64) + 100, (0, pad)),
    }
    return tf.data.Dataset.from_tensor_slices(rows).batch(batch, drop_remainder=True)


def images(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, [n, 4, 4, 3]).astype(np.uint8)


def mean_colour(pixels: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(pixels, axis=[1, 2])


def test_keeps_order_and_drops_padding():
    pixels = images(10)
    found = extract(frozen(mean_colour), padded_batches(pixels, 4))
    # float32 means of 16 values in [0, 1].
    expected = pixels.mean(axis=(1, 2)) / 255
    np.testing.assert_allclose(found.features, expected, atol=1e-6)
    assert found.features.dtype == np.float32
    np.testing.assert_array_equal(found.label, np.arange(10))
    np.testing.assert_array_equal(found.index, np.arange(100, 110))


def test_encoder_sees_static_shapes_and_is_traced_once():
    seen = []

    def encode(pixels):
        seen.append(pixels.shape.as_list())
        return mean_colour(pixels)

    extract(frozen(encode), padded_batches(images(10), 4))
    assert seen == [[4, 4, 4, 3]]


def test_half_precision_features_are_returned_as_float32():
    found = extract(
        frozen(lambda pixels: tf.cast(mean_colour(pixels), tf.bfloat16)),
        padded_batches(images(4), 4),
    )
    assert found.features.dtype == np.float32


def test_too_little_memory_is_one_line_with_what_to_lower():
    # Not from the pipeline, whose errors are handled differently.
    def encode(pixels):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")

    said = r"4 images of 4 px are too many .*evaluate\.batch_size"
    with pytest.raises(UserError, match=said):
        extract(encode, padded_batches(images(4), 4))


def test_mirrored_variables_are_read(two_replicas):
    with two_replicas.scope():
        scale = tf.Variable(3.0, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)
    plain = extract(frozen(mean_colour), padded_batches(images(6), 4))
    found = extract(
        frozen(lambda x: scale * mean_colour(x)), padded_batches(images(6), 4)
    )
    np.testing.assert_array_equal(found.features, 3 * plain.features)


def test_keras_encoder_built_under_a_strategy(two_replicas, encoder, colours):
    with two_replicas.scope():
        mirrored = type(encoder)(name="mirrored")
        mirrored(tf.zeros([1, 8, 8, 3]), training=False)
    for ours, theirs in zip(mirrored.variables, encoder.variables, strict=True):
        ours.assign(theirs.numpy())
    settings = {"size": 8, "batch_size": 16}
    source = colours.source("test")
    batches = evaluation_views(source, **settings)
    expected = extract(frozen(lambda x: encoder(x, training=False)), batches)
    found = extract(frozen(lambda x: mirrored(x, training=False)), batches)
    np.testing.assert_array_equal(found.features, expected.features)


def broken(at: int) -> tf.data.Dataset:
    def decode(row):
        wrong = tf.debugging.Assert(row["index"] != 100 + at, ["bad JPEG"])
        with tf.control_dependencies([wrong]):
            return {name: tf.identity(value) for name, value in row.items()}

    return padded_batches(images(8), 4).unbatch().map(decode).batch(4, True)


def test_a_broken_example_is_named_and_only_its_batch_is_looked_at():
    asked = []

    def diagnose(indices):
        asked.extend(indices)
        return ["cats/7.jpg: not a JPEG"]

    source = types.SimpleNamespace(size=8, diagnose=diagnose)
    with pytest.raises(UserError, match=r"cats/7\.jpg: not a JPEG"):
        extract(frozen(mean_colour), broken(5), source=source)
    assert asked == [4, 5, 6, 7]


def test_an_error_of_the_view_is_shown_as_it_is():
    source = types.SimpleNamespace(size=8, diagnose=lambda indices: [])
    with pytest.raises(tf.errors.InvalidArgumentError, match="bad JPEG"):
        extract(frozen(mean_colour), broken(5), source=source)


def test_a_broken_example_without_a_diagnosis_keeps_the_cause():
    with pytest.raises(UserError, match="bad JPEG"):
        extract(frozen(mean_colour), broken(5))


def test_an_error_of_the_encoder_is_not_blamed_on_the_data():
    def encode(pixels):
        with tf.control_dependencies([tf.debugging.Assert(False, ["mine"])]):
            return mean_colour(pixels)

    with pytest.raises(tf.errors.InvalidArgumentError, match="mine"):
        extract(frozen(encode), padded_batches(images(4), 4))


def test_features_that_are_not_finite_are_refused():
    with pytest.raises(UserError, match=r"not finite for 4 of 4 images"):
        extract(frozen(lambda x: mean_colour(x) / 0.0), padded_batches(images(4), 4))


def test_no_examples_is_an_error():
    with pytest.raises(UserError, match="no examples"):
        extract(frozen(mean_colour), padded_batches(images(4), 4).take(0))
