"""A picture of what an augmentation does to some images."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sslkit.api import Augmentation, Views
from sslkit.data import order
from sslkit.randomness import example_seed, step_seed
from sslkit.source import Source
from sslkit.storage import reaching, replacing
from sslkit.views import ContrastiveViews

__all__ = ["Line", "lines", "write"]

_CELL = 1.25  # inches
_CAPTION = 0.5  # inches under each picture
_DPI = 100


class Line(NamedTuple):
    """One image and its views."""

    image: np.ndarray
    """uint8 [height, width, 3]."""
    title: str
    """Its class, or its number."""
    views: Sequence[np.ndarray]
    """float32 [height, width, 3] in [0, 1] each, or uint8."""
    captions: Sequence[str]
    """The caption of each view: the random choices for it."""


def lines(
    source: Source, augmentation: Augmentation, *, count: int, seed: int
) -> list[Line]:
    """Makes the views of a run's first images in its first epoch.

    Args:
        source: the images.
        augmentation: makes the views, on the host and the device.
        count: how many images.
        seed: of the run.

    Returns:
        One line per image. An image that cannot be read is replaced as in training.
    """
    count = min(count, source.size)
    epochs, indices = order.index_at(
        tf.range(count, dtype=tf.int64), seed=seed, size=source.size
    )
    drawn = [
        example_seed(seed, epoch, index)
        for epoch, index in zip(epochs, indices, strict=True)
    ]
    examples = [_read(source, index) for index in indices]
    made = [
        augmentation.example(image, key)
        for (image, _), key in zip(examples, drawn, strict=True)
    ]
    views = {name: tf.stack([own[name] for own in made], axis=1) for name in made[0]}
    batch = augmentation.batch(
        Views.of(views),
        step_seed=step_seed(seed, 0),
        example_seeds=tf.stack(drawn),
    )
    places = [
        (name, view)
        for name, (count, _) in augmentation.groups.items()
        for view in range(count)
    ]
    return [
        Line(
            image=image.numpy(),
            title=_title(source, int(label), int(index)),
            views=[batch[name][view, row].numpy() for name, view in places],
            captions=_captions(augmentation, key),
        )
        for row, ((image, label), index, key) in enumerate(
            zip(examples, indices, drawn, strict=True)
        )
    ]


def _read(source: Source, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    image, label, missed = source.search(index)
    source.note(index, missed)
    return image, label


def write(sheet: Sequence[Line], path: str) -> None:
    """Draws lines of images and views, with captions, into a PNG file.

    Args:
        sheet: what to draw; at least one line, all with the same number of views.
        path: of the file.

    Raises:
        UserError: if it cannot be written.
    """
    # Slow to import, and only this function needs it. No window is ever opened.
    from matplotlib.figure import Figure

    columns = 1 + len(sheet[0].views)
    figure = Figure(
        figsize=(columns * _CELL, len(sheet) * (_CELL + _CAPTION)), dpi=_DPI
    )
    axes = figure.subplots(len(sheet), columns, squeeze=False)
    for line, row in zip(axes, sheet, strict=True):
        pictures = [row.image, *row.views]
        captions = [row.title, *row.captions]
        for place, picture, caption in zip(line, pictures, captions, strict=True):
            # Pixels of small views are shown as they are, not smoothed.
            small = picture.shape[0] < _CELL * _DPI
            place.imshow(picture, interpolation="nearest" if small else "antialiased")
            # A file may be called `$1.jpg`, which Matplotlib would read as a formula.
            place.set_xlabel(caption, fontsize=5, labelpad=2, parse_math=False)
            place.set_xticks([])
            place.set_yticks([])
    figure.subplots_adjust(
        left=0.005,
        right=0.995,
        top=0.995,
        bottom=_CAPTION / (len(sheet) * (_CELL + _CAPTION)),
        wspace=0.04,
        hspace=_CAPTION / _CELL,
    )
    with (
        reaching("the sheet", path, verb="written"),
        replacing(path) as beside,
        warnings.catch_warnings(),
    ):
        # A name may have letters that are not in the font.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(beside, format="png")


def _title(source: Source, label: int, index: int) -> str:
    if 0 <= label < len(source.label_names):
        return f"{source.label_names[label]}\nexample {index}"
    return f"example {index}"


def _captions(augmentation: Augmentation, seed: tf.Tensor) -> list[str]:
    names = [
        f"{name} {number}"
        for name, (count, _) in augmentation.groups.items()
        for number in range(1, count + 1)
    ]
    if not isinstance(augmentation, ContrastiveViews):
        return names
    drawn = augmentation.drawn(seed)
    return [
        "\n".join([name, *_wrapped(words)])
        for name, words in zip(names, drawn, strict=True)
    ]


def _wrapped(words: Sequence[str], width: int = 34) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) + 2 <= width:
            lines[-1] += f", {word}"
        else:
            lines.append(word)
    return lines
