"""Laws of sources."""

from __future__ import annotations

import json

import numpy as np
import tensorflow as tf

from sslkit.api import Source, UserError
from sslkit.plugins import describe
from sslkit.testing.law import Broken, Subject


def _split(subject: Subject) -> Source:
    if "split" not in subject.runs:
        subject.runs["split"] = subject.make()
    return subject.runs["split"]


def _places(source: Source) -> list[int]:
    """Returns some places: both ends, and a few between them."""
    if not isinstance(source.size, int) or source.size < 1:
        return []
    return sorted(set(np.linspace(0, source.size - 1, 5).astype(int).tolist()))


def _read(source: Source, places: list[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Reads examples as a run does: inside tf.data, in graph operations."""
    indices = tf.data.Dataset.from_tensor_slices(
        tf.constant(places, tf.int64, [len(places)])
    )
    return list(indices.map(source.example).as_numpy_iterator())


def _readable(subject: Subject) -> list[int]:
    """Returns places to read; an empty list if reading fails (see the first law)."""
    source = _split(subject)
    places = _places(source)
    try:
        _read(source, places)
    except Exception:
        return []
    return places


def returns_uint8_images_and_int32_labels(subject: Subject) -> None:
    """Images with float numbers were used in training as if they were bytes."""
    source = _split(subject)
    places = _places(source)
    if not places:
        raise Broken(
            f"`size` is {source.size!r}", "Give the number of examples, 1 or more"
        )
    try:
        found = _read(source, places)
    except Exception as error:
        raise Broken(
            f"`example` fails inside tf.data: {describe(error)}",
            "Use TensorFlow operations on `index`, which has no value there",
        ) from error
    for place, (image, label) in zip(places, found, strict=True):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
            raise Broken(
                f"example {place} is an image of {image.dtype} {list(image.shape)}",
                "Return uint8 [height, width, 3]; repeat the channel of a grey image",
            )
        if label.dtype != np.int32 or label.ndim:
            raise Broken(
                f"example {place} has a label of {label.dtype} {list(label.shape)}",
                "Return int32 [], -1 for an example without a label",
            )


def reads_the_same_each_time(subject: Subject) -> None:
    """A resumed run got other images than the run that was interrupted."""
    source = _split(subject)
    places = _readable(subject)
    first = _read(source, places)
    again = _read(subject.make(), places[::-1])[::-1]
    for place, one, other in zip(places, first, again, strict=True):
        same = all(map(np.array_equal, one, other))
        if not same:
            raise Broken(
                f"example {place} is different when it is read again",
                "Read by `index` only, and sort lists of files",
            )


def labels_agree(subject: Subject) -> None:
    """`labels` or `label` returned other labels than `example`."""
    source = _split(subject)
    known = source.labels()
    if _places(source) and known is not None and known.shape != (source.size,):
        raise Broken(
            f"`labels` has the shape {list(known.shape)}",
            f"Return one for each example: [{source.size}]",
        )
    places = _readable(subject)
    for place, (_, label) in zip(places, _read(source, places), strict=True):
        alone = int(source.label(tf.constant(place, tf.int64)))
        listed = alone if known is None else int(known[place])
        if not int(label) == alone == listed:
            raise Broken(
                f"the label of example {place} is {label} by `example`, {alone} by "
                f"`label` and {listed} by `labels`",
                "Read all of them from one place",
            )
        if not -1 <= alone < (source.classes or 0):
            raise Broken(
                f"example {place} has the label {alone}, but `classes` is "
                f"{source.classes}",
                "Labels go from 0 to classes - 1; -1 is for examples without a label",
            )
    names = len(source.label_names)
    if names not in (0, source.classes):
        raise Broken(
            f"there are {names} `label_names` and {source.classes} `classes`",
            "Name every class, or leave `label_names` empty",
        )


def refuses_a_split_that_does_not_exist(subject: Subject) -> None:
    """A typo in the name of a split silently gave another split."""
    absent = "no-such-split"
    try:
        subject.plugin(**{**subject.options, "split": absent})
    except UserError:
        return
    except Exception as error:
        raise Broken(
            f"for a split that does not exist it fails with {describe(error)}",
            "Raise UserError, and name the existing splits",
        ) from error
    raise Broken(
        f"it opens a split '{absent}'",
        "Raise UserError for a split that does not exist",
    )


def describes_its_examples_differently(subject: Subject) -> None:
    """A message named the wrong file, and changed data was not noticed."""
    source = _split(subject)
    places = _places(source)
    lines = [source.describe(place) for place in places]
    if len(set(lines)) < len(lines) or not all(map(str.isprintable, lines)):
        raise Broken(
            f"`describe` gives {lines}", "Return one line for each, such as its file"
        )
    try:
        first, again = (
            json.dumps(dict(made.record()), sort_keys=True)
            for made in (source, subject.make())
        )
    except TypeError as error:
        raise Broken(
            f"`record` is not JSON: {error}", "Return text, numbers and lists of them"
        ) from error
    if first != again:
        raise Broken(
            "`record` is different in the next call",
            "Leave out what does not describe the data, such as times",
        )
