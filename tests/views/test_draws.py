"""Seeds of views."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from sslkit.randomness import uniform
from sslkit.views import draws


def test_view_seeds_differ():
    both = draws.view_seed(tf.constant([[[3, 4]], [[4, 4]]]), tf.range(100))
    assert both.shape == (2, 100, 2)
    found = {tuple(seed) for seed in both.numpy().reshape(-1, 2)}
    assert len(found) == 200
    np.testing.assert_array_equal(draws.view_seed(tf.constant([4, 4]), 7), both[1, 7])
    # Nor are they the words that an example's own numbers come from.
    plain = uniform(tf.constant([[3, 4]]), 20).numpy()
    derived = tf.bitcast(both[0, :10], tf.uint32).numpy() / 2**32
    assert not np.any(np.isclose(plain.reshape(-1, 2), derived, atol=1e-6))
