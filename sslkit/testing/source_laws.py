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
    """Reads as a run does: inside tf.data, in graph operations."""
    indices = tf.data.Dataset.from_tensor_slices(
        tf.constant(places, tf.int64, [len(places)])
    )
    return list(indices.map(source.example).as_numpy_iterator())


def _readable(subject: Subject) -> list[int]:
    """Returns places that can be read; none where the first law says why not."""
    source = _split(subject)
    places = _places(source)
    try:
        _read(source, places)
    except Exception:
        return []
    return places


def reads_what_it_promises(subject: Subject) -> None:
    """An image of floats was trained on as if it were bytes."""
    source = _split(subject)
    places = _places(source)
    if not places:
        raise Broken(f"`size` is {source.size!r}", "Give the number of examples, 1 up")
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
                "Return int32 [], -1 where there is no label",
            )


def reads_the_same_each_time(subject: Subject) -> None:
    """A resumed run saw other images than the one that was interrupted."""
    source = _split(subject)
    places = _readable(subject)
    first = _read(source, places)
    again = _read(subject.make(), places[::-1])[::-1]
    for place, one, other in zip(places, first, again, strict=True):
        same = all(map(np.array_equal, one, other))
        if not same:
            raise Broken(
                f"example {place} is another one when it is read again",
                "Let what is read depend on `index` alone, and sort what is listed",
            )


def labels_agree(subject: Subject) -> None:
    """Labels that were looked up were not those of the images."""
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
                f"example {place} has the label {label}, and {alone} by `label`, "
                f"{listed} by `labels`",
                "Read all of them from one place",
            )
        if not -1 <= alone < (source.classes or 0):
            raise Broken(
                f"example {place} has the label {alone} where `classes` is "
                f"{source.classes}",
                "Labels go from 0 to classes - 1, and are -1 where there is none",
            )
    names = len(source.label_names)
    if names not in (0, source.classes):
        raise Broken(
            f"there are {names} `label_names` and {source.classes} `classes`",
            "Name every class, or leave `label_names` empty",
        )


def refuses_a_split_that_is_not_there(subject: Subject) -> None:
    """A typo in the name of a split gave another one without a word."""
    absent = "no-such-split"
    try:
        subject.plugin(**{**subject.options, "split": absent})
    except UserError:
        return
    except Exception as error:
        raise Broken(
            f"for a split that it does not have it fails with {describe(error)}",
            "Raise UserError, and name the splits that there are",
        ) from error
    raise Broken(
        f"it opens a split '{absent}'",
        "Raise UserError for a split that is not there",
    )


def tells_its_examples_apart(subject: Subject) -> None:
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
            "`record` changes from one look to the next",
            "Leave out what is not of the data, such as times",
        )
