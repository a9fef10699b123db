"""Counts of the images that were taken for false negatives, and how many were right."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

_THRESHOLDS = np.round(np.arange(-1.0, 1.0, 0.02), 2)
_TOPKS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000)
_CONFUSED = 10


@dataclasses.dataclass
class Round:
    """Images that were compared with each other.

    Columns are the views of all of them, view-major: column v * b + i shows image i.
    """

    scores: np.ndarray
    """float32 [b, V * b]; the lowest float32 for an image with itself."""
    chosen: np.ndarray
    """bool [b, V * b], the views that are taken for false negatives."""
    labels: np.ndarray
    """int32 [b]; -1 for images without a label."""

    @property
    def others(self) -> np.ndarray:
        """bool [b, V * b]: which columns show another image."""
        images, columns = self.scores.shape
        shown = np.arange(columns)[None] % images
        return np.asarray(shown != np.arange(images)[:, None])

    @property
    def judged(self) -> np.ndarray:
        """bool [b, V * b]: the pairs of two different images that both have labels."""
        images, columns = self.scores.shape
        known = self.labels >= 0
        theirs = np.tile(known, columns // images)
        return self.others & np.logical_and.outer(known, theirs)

    @property
    def alike(self) -> np.ndarray:
        """bool [b, V * b]: which of the `judged` pairs have the same label."""
        images, columns = self.scores.shape
        theirs = np.tile(self.labels, columns // images)
        return self.judged & (self.labels[:, None] == theirs[None])

    def of_images(self) -> np.ndarray:
        """Returns bool [b, b]: for which images at least one view is taken."""
        images, columns = self.scores.shape
        views = self.chosen.reshape([images, columns // images, images])
        return np.asarray(views.any(axis=1))


class Counts:
    """Adds up rounds, and computes precision, recall, and what chance would give."""

    def __init__(self) -> None:
        """Starts at zero."""
        self.images = 0
        self.found = 0
        self.judged = 0
        self.right = 0
        self.present = 0
        self._pairs = 0
        self._limit = 0
        self._by_class = np.zeros([0, 5], np.int64)
        self._confused = np.zeros([0, 0], np.int64)
        self._topk = np.zeros([len(_TOPKS), 2], np.int64)
        self._columns = 0
        # One more than there are thresholds: for scores that do not exceed any.
        self._above = np.zeros([2, len(_THRESHOLDS) + 1], np.int64)

    def add(self, one: Round) -> None:
        """Counts a round."""
        judged, alike = one.judged, one.alike
        taken, right = one.chosen & judged, one.chosen & alike
        self.images += len(one.labels)
        self.found += int(one.chosen.sum())
        self.judged += int(taken.sum())
        self.right += int(right.sum())
        self.present += int(alike.sum())
        self._pairs += int(judged.sum())
        self._limit += int(np.minimum(taken.sum(axis=1), alike.sum(axis=1)).sum())
        if judged.any():
            self._add_classes(one, taken, right, alike)
            self._add_topk(one.scores, judged, alike)
            self._add_thresholds(one.scores, judged, alike)

    def _add_classes(
        self, one: Round, taken: np.ndarray, right: np.ndarray, alike: np.ndarray
    ) -> None:
        classes = max(int(one.labels.max()) + 1, len(self._by_class))
        grown = np.zeros([classes, 5], np.int64)
        grown[: len(self._by_class)] = self._by_class
        known = one.labels >= 0
        each = np.stack(
            [
                np.ones_like(one.labels, np.int64),
                *(mask.sum(axis=1) for mask in (one.chosen, taken, right, alike)),
            ],
            axis=1,
        )
        np.add.at(grown, one.labels[known], each[known])
        self._by_class = grown
        confused = np.zeros([classes, classes], np.int64)
        confused[: len(self._confused), : len(self._confused)] = self._confused
        rows, columns = np.nonzero(taken & ~right)
        theirs = one.labels[columns % len(one.labels)]
        np.add.at(confused, (one.labels[rows], theirs), 1)
        self._confused = confused

    def _add_topk(
        self, scores: np.ndarray, judged: np.ndarray, alike: np.ndarray
    ) -> None:
        most = min(max(_TOPKS), scores.shape[1])
        # Stable: of equal scores the first column, as detection takes them.
        best = np.argsort(-scores, axis=1, kind="stable")[:, :most]
        sums = [
            np.cumsum(np.take_along_axis(mask, best, axis=1).sum(axis=0))
            for mask in (judged, alike)
        ]
        others = scores.shape[1] - scores.shape[1] // scores.shape[0]
        self._columns = others
        for place, k in enumerate(_TOPKS):
            if k <= others:
                self._topk[place] += [total[k - 1] for total in sums]

    def _add_thresholds(
        self, scores: np.ndarray, judged: np.ndarray, alike: np.ndarray
    ) -> None:
        for row, mask in enumerate((judged, alike)):
            # How many thresholds each score exceeds.
            places = np.searchsorted(_THRESHOLDS, scores[mask], side="left")
            self._above[row] += np.bincount(places, minlength=len(_THRESHOLDS) + 1)

    def own(self) -> dict[str, float | None]:
        """Returns precision, recall and counts per image of the choice."""
        return {
            "found_per_image": _share(self.found, self.images),
            "judged_per_image": _share(self.judged, self.images),
            "right_per_image": _share(self.right, self.images),
            "present_per_image": _share(self.present, self.images),
            "precision": _share(self.right, self.judged),
            "recall": _share(self.right, self.present),
        }

    @property
    def chance(self) -> float | None:
        """The precision of a random choice; None without labels."""
        return _share(self.present, self._pairs)

    def oracle(self) -> dict[str, float | None]:
        """Returns the results of a perfect choice of as many views for each image."""
        return {
            "precision": _share(self._limit, self.judged),
            "recall": _share(self._limit, self.present),
        }

    def by_topk(self) -> list[dict[str, float | None]]:
        """Returns precision and recall of the k highest scores of each image."""
        return [
            {
                "topk": k,
                "precision": _share(right, judged),
                "recall": _share(right, self.present),
            }
            for k, (judged, right) in zip(_TOPKS, self._topk.tolist(), strict=True)
            if k <= self._columns
        ]

    def by_threshold(self) -> list[dict[str, float | None]]:
        """Returns precision and recall of all scores above thresholds."""
        # A score exceeds threshold t if it exceeds more than t of them.
        judged, right = np.cumsum(self._above[:, ::-1], axis=1)[:, ::-1][:, 1:].tolist()
        return [
            {
                "threshold": float(threshold),
                "judged_per_image": _share(count, self.images),
                "precision": _share(hits, count),
                "recall": _share(hits, self.present),
            }
            for threshold, count, hits in zip(_THRESHOLDS, judged, right, strict=True)
            if count
        ]

    def by_class(self) -> list[dict[str, Any]]:
        """Returns the choice for the images of each class."""
        return [
            {
                "label": label,
                "images": images,
                "found_per_image": _share(found, images),
                "present_per_image": _share(present, images),
                "precision": _share(right, judged),
                "recall": _share(right, present),
            }
            for label, (images, found, judged, right, present) in enumerate(
                self._by_class.tolist()
            )
            if images
        ]

    def confused(self) -> list[dict[str, Any]]:
        """Returns the pairs of classes that are confused most often, in this order."""
        flat = self._confused.ravel()
        best = np.argsort(-flat, kind="stable")[:_CONFUSED]
        classes = len(self._confused)
        return [
            {
                "label": int(place // classes),
                "taken_for_it": int(place % classes),
                "views": int(flat[place]),
            }
            for place in best
            if flat[place]
        ]


class Stability:
    """How much of the choice is made again with other views of the images."""

    def __init__(self) -> None:
        """Starts at zero."""
        self._first = self._both = self._either = 0
        self._again = 0.0

    def add(self, first: np.ndarray, second: np.ndarray) -> None:
        """Counts a round.

        Args:
            first: bool [b, b], see `Round.of_images`.
            second: the same with other views.
        """
        self._first += int(first.sum())
        self._both += int((first & second).sum())
        self._either += int((first | second).sum())
        # What a random second choice of the same size would share with the first.
        others = max(1, len(first) - 1)
        self._again += float((first.sum(axis=1) * second.sum(axis=1)).sum()) / others

    def found(self) -> dict[str, float | None]:
        """Returns shares in [0, 1]; None if nothing was chosen."""
        return {
            "chosen_again": _share(self._both, self._first),
            "chosen_again_by_chance": _share(self._again, self._first),
            "jaccard": _share(self._both, self._either),
        }


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
