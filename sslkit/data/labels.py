"""Finding which feature of a TFDS dataset is its label, and its classes.

A `ClassLabel` has both. Other features do not say how many classes there are, so the
labels of the whole dataset are read once, and the result is kept in a cache.
"""

from __future__ import annotations

import json
import logging
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from sslkit.data.records import cache_folder, fingerprint
from sslkit.errors import UserError

__all__ = ["Labels", "find_labels"]

_log = logging.getLogger(__name__)

_USUAL = ("label", "labels")
_MOST = 100_000  # classes; a feature with more has ids of examples, or captions
_BATCH = 1024


class Labels(NamedTuple):
    """How the label of an example is read."""

    feature: str
    """The key in a record."""
    names: tuple[str, ...]
    """The name of each class; empty if the names are not known."""
    classes: int
    texts: tuple[bytes, ...] = ()
    """The labels in the records, by class; empty if the records have numbers."""

    def spec(self) -> Mapping[str, tf.io.FixedLenFeature]:
        """Returns the specification with which a record is parsed."""
        kind = tf.string if self.texts else tf.int64
        return {self.feature: tf.io.FixedLenFeature([], kind)}

    def of(self, parsed: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the class of a parsed record, int32 [], -1 if it has none."""
        value = parsed[self.feature]
        if not self.texts:
            return tf.cast(value, tf.int32)
        # A lookup table of TensorFlow could not be sent to another process.
        found = tf.equal(tf.constant(self.texts), value)
        place = tf.argmax(found, output_type=tf.int32)
        return tf.where(tf.reduce_any(found), place, -1)


def find_labels(
    features: Mapping[str, Any],
    files: Sequence[str],
    records: Callable[[], tf.data.Dataset] | None = None,
    *,
    name: str | None = None,
    cache_dir: str | None = None,
    kinds: Any,
) -> Labels | str:
    """Finds the label of a dataset.

    Args:
        features: key -> feature of TFDS.
        files: all files of the dataset.
        records: makes a dataset of their records, string [] each; None to read them as
            TFRecord.
        name: the feature to use; `label` or `labels` unless given.
        cache_dir: where the result is kept; see `record_table`.
        kinds: `tensorflow_datasets.features`.

    Returns:
        The label; or, if no feature is clearly a label, a text about the features.

    Raises:
        UserError: if a name is given and it cannot be a label.
    """
    if name is not None and name not in features:
        raise UserError(
            f"data.label is {name!r}, and the features are {_described(features)}; "
            "name one of them"
        )
    chosen = name or next((key for key in _USUAL if key in features), None)
    if chosen is None:
        return _hint(features)
    feature = features[chosen]
    if isinstance(feature, kinds.ClassLabel) and feature.num_classes:
        return Labels(chosen, tuple(feature.names), feature.num_classes)
    found = None
    text = isinstance(feature, kinds.Text)
    if text or _is_number(feature):
        found = _read(chosen, files, records, text=text, cache_dir=cache_dir)
        plain = name is not None or found.classes <= max(2, found.examples // 2)
        if found.low >= -1 and 0 < found.classes <= _MOST and plain:
            return Labels(chosen, found.names(), found.classes, found.texts)
    what = "is not one class per image" if found is None else found.refusal()
    if name is not None:
        raise UserError(f"data.label is {name!r}, which {what}; name another feature")
    return f"{_hint(features)}. '{chosen}' {what}"


class _Found(NamedTuple):
    examples: int
    classes: int
    low: int
    texts: tuple[bytes, ...]

    def names(self) -> tuple[str, ...]:
        return tuple(text.decode("utf-8", "backslashreplace") for text in self.texts)

    def refusal(self) -> str:
        if self.low < -1:
            return f"has the value {self.low}, but classes are numbered from 0"
        return f"would give {self.classes:,} classes for {self.examples:,} images"


def _read(
    key: str,
    files: Sequence[str],
    records: Callable[[], tf.data.Dataset] | None,
    *,
    text: bool,
    cache_dir: str | None,
) -> _Found:
    kept = cache_folder(cache_dir) / "labels" / f"{fingerprint([*files])}-{key}.json"
    found = _load(kept)
    if found is not None:
        return found
    spec = {key: tf.io.FixedLenFeature([], tf.string if text else tf.int64)}
    found_in = (
        tf.data.TFRecordDataset(list(files), num_parallel_reads=tf.data.AUTOTUNE)
        if records is None
        else records()
    )
    values: set[Any] = set()
    examples = 0
    batches = found_in.batch(_BATCH).map(lambda part: tf.io.parse_example(part, spec))
    try:
        for batch in batches.as_numpy_iterator():
            examples += len(batch[key])
            if len(values) <= _MOST:
                values.update(np.unique(batch[key]).tolist())
    except tf.errors.OpError as error:
        raise UserError(
            f"the labels of {files[0]} and its neighbours cannot be read "
            f"({error.message.splitlines()[0]}); prepare the dataset again"
        ) from error
    if text:
        found = _Found(examples, len(values), 0, tuple(sorted(values)))
    else:
        found = _Found(
            examples, max(values, default=-1) + 1, min(values, default=0), ()
        )
    _save(kept, found)
    return found


def _load(kept: pathlib.Path) -> _Found | None:
    try:
        examples, classes, low, texts = json.loads(kept.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return _Found(examples, classes, low, tuple(bytes.fromhex(text) for text in texts))


def _save(kept: pathlib.Path, found: _Found) -> None:
    beside = kept.with_suffix(".partial")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        plain = [*found[:3], [text.hex() for text in found.texts]]
        beside.write_text(json.dumps(plain), "utf-8")
        beside.replace(kept)
    except OSError as error:
        _log.info("the labels are read each time: %s: %s", kept, error.strerror)


def _is_number(feature: Any) -> bool:
    kind = getattr(feature, "np_dtype", None)
    return kind is not None and feature.shape == () and np.dtype(kind).kind in "iub"


def _hint(features: Mapping[str, Any]) -> str:
    return (
        "has no feature that is clearly a label. Its features: "
        f"{_described(features)}; name the label with data.label"
    )


def _described(features: Mapping[str, Any]) -> str:
    parts = []
    for key, feature in sorted(features.items()):
        kind = type(feature).__name__
        if kind in ("Tensor", "Scalar"):
            kind = str(feature.np_dtype)
            if feature.shape:
                kind += f" {list(feature.shape)}"
        parts.append(f"{key} ({kind})")
    return ", ".join(parts) or "not named"
