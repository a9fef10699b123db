"""Whether all processes of a run go on from the same checkpoint."""

from __future__ import annotations

import tensorflow as tf

from sslkit import replica
from sslkit.api import UserError

_DIGIT = 2**20


def check_agreement(strategy: tf.distribute.Strategy, step: int) -> None:
    """Refuses to go on if the processes of a run found different checkpoints.

    Args:
        strategy: of the run.
        step: the step from which this process goes on.

    Raises:
        UserError: in all processes, with the step of every replica.
    """
    if strategy.num_replicas_in_sync == 1:
        return

    @tf.function
    def gathered() -> tf.Tensor:
        # Two parts of the number, each exact in float32; some devices have no wider
        # type.
        own = tf.constant([divmod(step, _DIGIT)], tf.float32)
        return strategy.run(lambda: replica.gather(own))

    digits = strategy.experimental_local_results(gathered())[0].numpy().astype(int)
    found = [high * _DIGIT + low for high, low in digits]
    if len(set(found)) > 1:
        raise UserError(
            f"the processes of this run found different checkpoints: of steps "
            f"{', '.join(str(number) for number in found)}. Give all of them one "
            "workdir, on a disk that they share."
        )
