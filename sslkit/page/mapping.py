"""A map of the features: each image is a point, and similar images are near."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Literal

import numpy as np

from sslkit.evaluate.features import Features
from sslkit.page.album import Album

Layout = Literal["pca", "tsne"]

_CLUSTERS = 8
_PERPLEXITY = 30.0
_FEWEST = 3


@dataclasses.dataclass(frozen=True)
class Map:
    """Points in a square."""

    layout: Layout
    x: np.ndarray
    """float [n], in [0, 1]."""
    y: np.ndarray
    """float [n], in [0, 1], downwards."""
    colour: np.ndarray
    """int [n]: the number of the class or cluster; -1 for neither."""
    legend: tuple[str, ...]
    """The name of each colour's class or cluster."""
    titles: tuple[str, ...]
    """The name of each point's image."""
    words: str
    """How the map was made, and how to read it."""

    def at(self, keep: np.ndarray) -> Map:
        """Returns the map with only some of its points.

        Args:
            keep: int [m], the points to keep.
        """
        return dataclasses.replace(
            self,
            x=self.x[keep],
            y=self.y[keep],
            colour=self.colour[keep],
            titles=tuple(self.titles[place] for place in keep),
        )


def draw_map(points: Features, album: Album, layout: Layout) -> Map:
    """Places features in the plane.

    Args:
        points: the features to place; they are scaled to unit length first.
        album: the names of the examples.
        layout: `pca`, the two directions with the largest variance; or `tsne`, which
            keeps near neighbours near, and takes seconds.
    """
    length = np.linalg.norm(points.features, axis=1, keepdims=True)
    unit = points.features / np.maximum(length, 1e-12)
    labelled = bool((points.label >= 0).any())
    if labelled:
        classes = int(points.label.max()) + 1
        colour = points.label.astype(np.int64)
        legend = tuple(album.class_name(number) for number in range(classes))
    else:
        colour = _clusters(unit)
        legend = tuple(f"cluster {n + 1}" for n in range(int(colour.max()) + 1))
    place, words = _placed(unit, layout)
    low, high = place.min(axis=0), place.max(axis=0)
    # One scale for both, so that distances are not distorted.
    scale = max(float((high - low).max()), 1e-12)
    place = (place - (low + high) / 2) / scale + 0.5
    return Map(
        layout,
        place[:, 0],
        1.0 - place[:, 1],
        colour,
        legend,
        tuple(
            album.title(int(index), int(label))
            for index, label in zip(points.index, points.label, strict=True)
        ),
        words,
    )


def _placed(unit: np.ndarray, layout: Layout) -> tuple[np.ndarray, str]:
    if layout == "tsne" and len(unit) > _FEWEST:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits

        perplexity = min(_PERPLEXITY, (len(unit) - 1) / 3)
        model = TSNE(perplexity=perplexity, init="pca", random_state=0, metric="cosine")
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")
            found = model.fit_transform(unit)
        return found, (
            f"t-SNE of cosines, perplexity {perplexity:.0f}: images that are near are "
            "similar, but the sizes of groups and the distances between them have no "
            "meaning"
        )
    centred = unit.astype(np.float64) - unit.mean(axis=0)
    _, values, directions = np.linalg.svd(centred, full_matrices=False)
    total = float((values**2).sum())
    kept = float((values[:2] ** 2).sum()) / total if total > 0 else 1.0
    place = np.zeros([len(unit), 2])
    place[:, : min(2, len(directions))] = centred @ directions[:2].T
    return place, (
        f"PCA of the features, scaled to unit length: the two directions with most "
        f"variance, {kept:.0%} of it; groups that overlap here may be separate in "
        "other directions"
    )


def _clusters(unit: np.ndarray) -> np.ndarray:
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    count = min(_CLUSTERS, len(np.unique(unit.round(6), axis=0)))
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        found = KMeans(count, n_init=4, random_state=0).fit_predict(unit)
    return found.astype(np.int64)
