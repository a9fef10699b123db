"""Data: source -> order(seed, epoch) -> example(image, seed) -> batch.

The position of a run in its data is one integer, the number of examples consumed. So a
resumed run reads nothing again.
"""

from sslkit.data.batches import (
    TrainingBatch,
    check_batch_size,
    evaluation_batches,
    training_batches,
)
from sslkit.data.dataset import Data, data
from sslkit.source import Source

__all__ = [
    "Data",
    "Source",
    "TrainingBatch",
    "check_batch_size",
    "data",
    "evaluation_batches",
    "training_batches",
]
