"""The mistakes of nearest neighbours: by class, by pair of classes, by image."""

from __future__ import annotations

import dataclasses

import numpy as np

from sslkit.evaluate.features import Features
from sslkit.evaluate.knn import classify, knn_protocol
from sslkit.page.album import Album
from sslkit.page.neighbours import Row, row

_NEIGHBOURS = 20
_CLASSES = 20
"""If there are more classes, only so many, the worst, are shown."""
_PAIRS = 8
_MISTAKES = 6
_NEAR = 5


@dataclasses.dataclass(frozen=True)
class OfClass:
    """The accuracy of a class."""

    title: str
    right: int
    count: int

    @property
    def share(self) -> float:
        """The share of its images that are classified right."""
        return self.right / self.count


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two classes that are confused with each other."""

    one: str
    other: str
    there: int
    """Images of `one` that are taken for `other`."""
    back: int
    """Images of `other` that are taken for `one`."""


@dataclasses.dataclass(frozen=True)
class Mistake:
    """An image that is taken for another class."""

    row: Row
    taken_for: str
    certainty: float
    """Share of the votes that the wrong class got."""


@dataclasses.dataclass(frozen=True)
class Mistakes:
    """The mistakes of a nearest-neighbour classifier."""

    protocol: str
    accuracy: float
    scored: int
    wrong: int
    classes: tuple[OfClass, ...]
    """The worst first; of many classes, only the worst."""
    of: int
    """The number of classes with scored images."""
    pairs: tuple[Pair, ...]
    """The pairs that are confused most often come first."""
    top: tuple[Mistake, ...]
    """The mistakes with the largest share of votes come first."""


def find_mistakes(
    bank: Features,
    scored: Features,
    bank_album: Album,
    album: Album,
    *,
    temperature: float,
) -> Mistakes:
    """Classifies by nearest neighbours and collects the mistakes.

    Args:
        bank: labelled features, which are the neighbours.
        scored: labelled features to classify.
        bank_album: the names of the bank's examples.
        album: the names of the scored examples.
        temperature: a vote is the exponential of the cosine, divided by this.
    """
    found = classify(bank, scored, neighbours=_NEIGHBOURS, temperature=temperature)
    label = scored.label.astype(np.int64)
    said = found.scores.argmax(axis=1)
    classes = found.scores.shape[1]
    confusion = np.bincount(label * classes + said, minlength=classes * classes)
    confusion = confusion.reshape(classes, classes)
    counts = confusion.sum(axis=1)
    by_class = [
        OfClass(album.class_name(number), int(confusion[number, number]), int(count))
        for number, count in enumerate(counts)
        if count
    ]
    by_class.sort(key=lambda one: one.share)
    wrong = np.flatnonzero(said != label)
    votes = np.where(np.isfinite(found.scores), found.scores, 0.0)
    certainty = votes.max(axis=1) / votes.sum(axis=1)
    worst = wrong[np.argsort(-certainty[wrong], kind="stable")][:_MISTAKES]
    top = tuple(
        Mistake(
            row(
                bank,
                bank_album,
                scored,
                album,
                int(place),
                found.near[place],
                found.cosine[place],
                most=_NEAR,
            ),
            album.class_name(int(said[place])),
            float(certainty[place]),
        )
        for place in worst
    )
    return Mistakes(
        knn_protocol(
            neighbours=_NEIGHBOURS, temperature=temperature, bank_size=len(bank.label)
        ),
        float(np.mean(said == label)),
        len(label),
        len(wrong),
        tuple(by_class[:_CLASSES]),
        len(by_class),
        _pairs(confusion, album),
        top,
    )


def _pairs(confusion: np.ndarray, album: Album) -> tuple[Pair, ...]:
    both = np.triu(confusion + confusion.T, 1)
    order = np.argsort(-both, axis=None, kind="stable")[:_PAIRS]
    found = []
    for flat in order:
        one, other = divmod(int(flat), len(both))
        if not both[one, other]:
            break
        there, back = int(confusion[one, other]), int(confusion[other, one])
        if back > there:
            one, other, there, back = other, one, back, there
        found.append(Pair(album.class_name(one), album.class_name(other), there, back))
    return tuple(found)
