"""Runs a frozen encoder over a split once and keeps only its features."""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from sslkit.data.batches import evaluation_batches, evaluation_indices
from sslkit.errors import UserError, first_line
from sslkit.evaluation import Features
from sslkit.runners.gpus import is_out_of_memory
from sslkit.source import UNREADABLE
from sslkit.views.crop import evaluation_view

if TYPE_CHECKING:
    from sslkit.source import Source

Encode = Callable[[tf.Tensor], tf.Tensor]
"""float32 images [b, size, size, 3] in [0, 1] -> float [b, dim]."""

FrozenEncoder = Callable[[tf.Tensor], tf.Tensor]
"""What `frozen` returns: uint8 images [b, size, size, 3] -> float32 [b, dim]."""


def frozen(encode: Encode) -> FrozenEncoder:
    """Compiles an encoder for `extract`; it may then be used any number of times.

    Runs on the default device. Variables of a mirrored strategy are read from their
    first replica, at the time of each call.

    Args:
        encode: the encoder, in inference mode.
    """

    @tf.function(autograph=False)
    def run(images: tf.Tensor) -> tf.Tensor:
        pixels = tf.image.convert_image_dtype(images, tf.float32)
        return tf.cast(encode(pixels), tf.float32)

    return run


def evaluation_views(
    source: Source, *, size: int, batch_size: int, limit: int | None = None
) -> tf.data.Dataset:
    """Returns the evaluation views of a source: central crops, nothing random.

    Args:
        source: the split to read.
        size: side of the views, in pixels.
        batch_size: images encoded at once.
        limit: examples to use, a fixed choice from the whole split; None for all.

    Returns:
        What `extract` takes; it may be iterated over any number of times.
    """
    return evaluation_batches(
        source,
        size=size,
        batch_size=batch_size,
        view=functools.partial(evaluation_view, size=size),
        limit=limit,
    )


def extract(
    encode: FrozenEncoder,
    batches: tf.data.Dataset,
    *,
    source: Source | None = None,
    limit: int | None = None,
) -> Features:
    """Encodes every example of `batches`, in their order, without the padding.

    Memory holds the features and one batch, never the images.

    Args:
        encode: see `frozen`.
        batches: dicts of images uint8 [b, size, size, 3], label int32 [b],
            weight float32 [b] (0 for padding) and index int64 [b].
        source: what the batches were read from. It finds which example of a batch
            cannot be read.
        limit: as given to `evaluation_batches`, if they made the batches.

    Returns:
        The features in memory.

    Raises:
        UserError: if an example cannot be read, there are no examples, or a feature is
            not finite.
    """
    features: deque[np.ndarray] = deque()
    labels: deque[np.ndarray] = deque()
    indices: deque[np.ndarray] = deque()
    for part in stream(encode, batches, source=source, limit=limit):
        features.append(part.features)
        labels.append(part.label)
        indices.append(part.index)
    if not sum(map(len, labels)):
        raise UserError(
            "there are no examples to evaluate on; choose a split that has some"
        )
    result = Features(_join(features), _join(labels), _join(indices))
    _require_finite(result.features)
    return result


def stream(
    encode: FrozenEncoder,
    batches: tf.data.Dataset,
    *,
    source: Source | None = None,
    limit: int | None = None,
) -> Iterator[Features]:
    """Encodes batch after batch; the arguments and the order are those of `extract`.

    Yields:
        The features of one batch, without the padding.

    Raises:
        UserError: if an example cannot be read, or the device is out of memory.
    """
    for batch in _read(batches, source, limit):
        real = batch["weight"].numpy() > 0
        yield Features(
            _encoded(encode, batch["images"])[real],
            batch["label"].numpy()[real],
            batch["index"].numpy()[real],
        )


def _encoded(encode: FrozenEncoder, images: tf.Tensor) -> np.ndarray:
    try:
        return encode(images).numpy()
    except tf.errors.OpError as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            f"out of memory: {images.shape[0]} images of {images.shape[1]} px are too "
            "many to encode at once here. Lower evaluate.batch_size (of `sslkit "
            "embed`, --batch-size); other processes on the device take memory too."
        ) from error


def _read(
    batches: tf.data.Dataset, source: Source | None, limit: int | None
) -> Iterator[dict[str, tf.Tensor]]:
    """Yields the batches; in an error of the pipeline, the example is named.

    This is only for reading: the same kinds of error from the encoder have nothing to
    do with the data.
    """
    iterator = iter(batches)
    for number in itertools.count():
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except UNREADABLE as error:
            what = first_line(error)
            if source is not None:
                rows = batches.element_spec["weight"].shape[0]
                suspects = evaluation_indices(
                    source, number * rows, (number + 1) * rows, limit=limit
                )
                found = source.diagnose(suspects)
                if not found:
                    raise  # All examples can be read: the error is in the pipeline.
                what = "; ".join(found)
            raise UserError(
                f"cannot read an example: {what}. Repair or remove it and run again."
            ) from error
        yield batch


def _join(parts: deque[np.ndarray]) -> np.ndarray:
    """Concatenates and frees part by part, so that the peak is one copy, not two."""
    first = parts[0]
    joined = np.empty((sum(map(len, parts)), *first.shape[1:]), first.dtype)
    start = 0
    while parts:
        part = parts.popleft()
        joined[start : start + len(part)] = part
        start += len(part)
    return joined


def _require_finite(features: np.ndarray) -> None:
    # A sum is NaN or infinite if a member is, and needs no mask as large as the rows.
    bad = int(np.sum(~np.isfinite(features.sum(axis=1, dtype=np.float64))))
    if bad:
        raise UserError(
            f"the encoder's output is not finite for {bad} of {len(features)} images: "
            "the run has diverged. Go back to an earlier checkpoint or lower the "
            "learning rate."
        )
