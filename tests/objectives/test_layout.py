"""The order of what is collected from all replicas."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from sslkit.objectives import gather_labels, gather_view_major


def test_labels_stand_where_the_images_of_all_replicas_stand(two_replicas):
    labels = np.array([7, -1, 1000, 16_777_215], np.int32)
    images = labels.astype(np.float64)[np.newaxis, :, np.newaxis]

    def shard(array, axis):
        return two_replicas.experimental_distribute_values_from_function(
            lambda context: tf.constant(
                np.split(array, 2, axis)[context.replica_id_in_sync_group]
            )
        )

    @tf.function
    def collected(own, views):
        return two_replicas.run(
            lambda x, y: (gather_labels(x), gather_view_major(y)), args=(own, views)
        )

    gathered, order = collected(shard(labels, 0), shard(images, 1))
    for one in two_replicas.experimental_local_results(gathered):
        assert one.dtype == tf.int32
        np.testing.assert_array_equal(one, labels)
    for one in two_replicas.experimental_local_results(order):
        np.testing.assert_array_equal(one[:, 0], labels)
