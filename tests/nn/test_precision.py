"""The precision of layers is that of the context in which they are made."""

from __future__ import annotations

import threading

import keras
import pytest
import tensorflow as tf

from sslkit.nn.precision import layers_in
from sslkit.testing.precision import precision


def policy_of_new_layers():
    return keras.layers.Dense(2).dtype_policy.name


def test_layers_keep_the_precision_that_they_were_made_in():
    with layers_in("bfloat16"):
        half = keras.layers.Dense(2)
    full = keras.layers.Dense(2)
    x = tf.ones([1, 3])
    assert half(x).dtype == tf.bfloat16
    assert full(x).dtype == tf.float32
    assert half.kernel.dtype == "float32"


def test_the_policy_comes_back_after_an_error():
    before = policy_of_new_layers()
    with pytest.raises(ZeroDivisionError), layers_in("bfloat16"):
        raise ZeroDivisionError
    assert policy_of_new_layers() == before == "float32"


def test_float32_is_float32_whatever_the_policy_of_the_process():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        with layers_in("float32"):
            assert policy_of_new_layers() == "float32"
        assert policy_of_new_layers() == "mixed_bfloat16"
    finally:
        keras.config.set_dtype_policy("float32")


def test_the_laws_stay_in_float64():
    with precision("float64"), layers_in("float32"):
        assert policy_of_new_layers() == "float64"


def test_other_threads_never_see_it():
    seen = []
    with layers_in("bfloat16"):
        thread = threading.Thread(target=lambda: seen.append(policy_of_new_layers()))
        thread.start()
        thread.join()
    assert seen == ["float32"]
