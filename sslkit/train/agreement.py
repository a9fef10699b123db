"""Whether all processes of a run are about to do the same."""

from __future__ import annotations

import tensorflow as tf

from sslkit import replica
from sslkit.api import UserError


def check_agreement(strategy: tf.distribute.Strategy, step: int) -> None:
    """Refuses to go on where the processes of a run found different checkpoints.

    Args:
        strategy: of the run.
        step: where this process goes on.

    Raises:
        UserError: in all processes, with every replica's step.
    """
    if strategy.num_replicas_in_sync == 1:
        return

    @tf.function
    def gathered() -> tf.Tensor:
        # Whole numbers up to 2^53 are exact, and all devices multiply float64.
        own = tf.constant([step], tf.float64)
        return strategy.run(lambda: replica.gather(own))

    found = strategy.experimental_local_results(gathered())[0].numpy().astype(int)
    if len(set(found)) > 1:
        raise UserError(
            f"the processes of this run found different checkpoints: of steps "
            f"{', '.join(str(number) for number in found)}. Give all of them one "
            "workdir, on a disk that they share."
        )
