"""Whether all processes of a run are about to do the same."""

from __future__ import annotations

import tensorflow as tf

from sslkit import replica
from sslkit.api import UserError

_DIGIT = 2**20


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
        # Two digits, each of which float32 holds exactly; not every device has more.
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
