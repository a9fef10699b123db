"""An audit of one run: what each checkpoint takes for false negatives, and pictures."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from sslkit.api import Compared, Detected
from sslkit.auditing import curves, gallery
from sslkit.auditing.measures import Counts, Round, Stability
from sslkit.auditing.pool import Pool
from sslkit.auditing.recorded import recorded
from sslkit.checkpoints import Checkpoints, Damaged, step_of
from sslkit.errors import UserError
from sslkit.objectives import Scores
from sslkit.runs import Run
from sslkit.status import read_status
from sslkit.storage import reaching
from sslkit.training.run import Training
from sslkit.workdir import Workdir

VERSION = 1
"""Version of the format of `audit.json`; see docs/compare.md."""
_SAMPLE, _ERRORS, _CURVES = _PICTURES = (
    "audit_sample.png",
    "audit_errors.png",
    "audit_curves.png",
)
_TOPK = 10
"""How many views are taken if the run's objective does not choose any."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of an audit."""

    images: int = 1024
    """How many images are compared at most."""
    step: int | None = None
    """The step of the checkpoint to audit; None for the latest that is whole."""
    topk: int | None = None
    """If given, the k highest scores are taken, instead of the run's own choice."""
    threshold: float | None = None
    """If given, the scores above it are taken, instead of the run's own choice; if
    `topk` is given, too, those of the k highest that are above it."""
    rows: int = 8
    """Rows per picture."""
    columns: int = 8
    """Candidates per row."""


@dataclasses.dataclass(frozen=True)
class Audit:
    """The result of an audit."""

    found: Mapping[str, Any]
    """The content of `audit.json`."""
    shown: Mapping[str, Sequence[gallery.Shown]]
    """File name -> the rows of that picture."""
    titles: Mapping[str, str]
    """File name -> the line above the picture."""
    album: gallery.Album
    """The images of the pictures."""

    def write(self, workdir: Workdir) -> list[str]:
        """Writes `audit.json` and the pictures into a run's folder; returns the paths.

        The pictures are written first, so that those which `audit.json` names exist.
        Pictures of an earlier audit that this one does not have are removed.

        Raises:
            UserError: if one cannot be written.
        """
        paths = []
        for name, rows in self.shown.items():
            path = os.path.join(workdir.path, name)
            gallery.draw(rows, self.album, path, title=self.titles[name])
            paths.append(path)
        if self.found["curves"] is not None:
            path = os.path.join(workdir.path, self.found["curves"])
            curves.draw(self.found, path)
            paths.append(path)
        written = workdir.write_audit(self.found)
        for name in _PICTURES:
            path = os.path.join(workdir.path, name)
            if path not in paths and tf.io.gfile.exists(path):
                with reaching("the picture", path, verb="removed"):
                    tf.io.gfile.remove(path)
        return [written, *paths]


def audit(run: Run, settings: Settings, say: Callable[[str], None] = print) -> Audit:
    """Audits a run.

    Args:
        run: the run, opened again. Its objective is built here, and its weights are
            changed.
        settings: see `Settings`.
        say: prints a line for the user.

    Raises:
        UserError: if the run has no checkpoint, or none of the given step; if its data
            has too few images; or if its embeddings are not finite.
    """
    training, workdir = run.training, run.workdir
    prefixes = _prefixes(workdir)
    damaged: dict[str, str] = {}
    main = _chosen(training, prefixes, workdir, settings.step, damaged)
    notes = _notes(workdir)
    pool = Pool(
        training.objective,
        training.source,
        training.augmentation,
        seed=training.seed,
        batch_size=training.batch_size,
        most=settings.images,
    )
    if pool.round < 2:
        raise UserError(
            f"{training.source.name} has {pool.round} image to compare; at least 2 are "
            "needed. Raise --images, or name other data with --set."
        )
    wanted = training.objective.compared_images(training.batch_size)
    if pool.round < wanted:
        notes.append(
            f"in training an image is compared with {wanted - 1:,} others, here only "
            f"with {pool.round - 1:,}, among which there are fewer of its class. Add "
            f"--images {wanted} to compare as in training, if the data has that many"
        )
    look = _Look(training, settings)
    over: list[dict[str, Any]] = []
    for prefix in (one for one in prefixes if one != main and one not in damaged):
        try:
            step = training.load(workdir, prefix)
        except Damaged as error:
            damaged[prefix] = error.reason
            continue
        say(f"measuring step {step}")
        counts = Counts()
        for one in look.rounds(pool, *pool.embedded(0)):
            counts.add(one)
        over.append(_at(step, counts))
    say(f"measuring step {step_of(main)}, whose pictures are drawn")
    training.load(workdir, main)
    counts, stability, pictures, labels, views = _looked(look, pool, settings)
    over.append(_at(step_of(main), counts))
    labelled = bool((labels >= 0).any())
    if not labelled:
        notes.append(
            "the images have no labels, so the choice cannot be checked: "
            f"{training.source.name} {training.source.why_unlabelled()}"
        )
    album = gallery.Album(training.source, pool.indices, labels)
    step = step_of(main)
    shown, titles = _pictures(pictures, step)
    named = functools.partial(_named, album)
    found = {
        "version": VERSION,
        "step": step,
        "steps": training.steps,
        "objective": training.objective.name,
        "data": training.source.name,
        "images": pool.images,
        "compared_images": pool.round,
        "views": views,
        "labels": labelled,
        "policy": look.policy,
        "own_policy": look.own,
        "choice": counts.own(),
        "chance_precision": counts.chance,
        "oracle": counts.oracle(),
        "by_topk": counts.by_topk(),
        "by_threshold": counts.by_threshold(),
        "by_class": [named(row, "label") for row in counts.by_class()],
        "confused": [
            named(named(row, "label"), "taken_for_it") for row in counts.confused()
        ],
        "over_training": sorted(over, key=lambda row: row["step"]),
        "recorded": recorded(workdir.path),
        "curves": _CURVES if counts.by_topk() and labelled else None,
        "stability": stability.found(),
        "gallery": [
            {
                "file": name,
                "title": titles[name],
                "rows": gallery.to_json(rows, album),
            }
            for name, rows in shown.items()
        ],
        "notes": [
            *notes,
            *(
                f"{one} is damaged and is skipped: {why}"
                for one, why in damaged.items()
            ),
            *training.data.skipped(),
        ],
    }
    return Audit(found, shown, titles, album)


class _Look:
    """Turns embeddings into rounds of scores and a choice."""

    def __init__(self, training: Training, settings: Settings):
        self._training = training
        self._settings = settings
        self._given = settings.topk is not None or settings.threshold is not None
        self.policy = ""
        self.own = False

    def rounds(self, pool: Pool, compared: Compared, labels: np.ndarray) -> list[Round]:
        """Returns the rounds of a pool's embeddings."""
        return [
            self._round(Compared(*(side[:, part] for side in compared)), labels[part])
            for part in pool.rounds()
        ]

    def _round(self, compared: Compared, labels: np.ndarray) -> Round:
        if not all(np.isfinite(side).all() for side in compared):
            raise UserError(
                "the run's embeddings are not finite: it has diverged. Audit an "
                "earlier checkpoint with --step, or lower the learning rate."
            )
        tensors = Compared(*map(tf.constant, compared))
        known = tf.constant(labels, tf.int32)
        try:
            found = self._training.objective.detect(
                tensors, known, step=tf.constant(self._training.state.step)
            )
        except UserError as error:
            raise UserError(
                f"{error} In this audit {len(labels):,} images are compared; --images "
                "raises that number, up to the run's own."
            ) from error
        self.own = found is not None and not self._given
        if found is None or self._given:
            scores = _scores(tensors) if found is None else found.scores
            found = self._by_settings(scores)
        self.policy = found.policy
        return Round(found.scores.numpy(), found.chosen.numpy(), labels)

    def _by_settings(self, scores: tf.Tensor) -> Detected:
        topk, threshold = self._settings.topk, self._settings.threshold
        if topk is None and threshold is None:
            topk = _TOPK
        values = scores.numpy()
        images, columns = values.shape
        chosen = values > values.dtype.type(np.finfo(values.dtype).min)
        words = "all views"
        if topk is not None:
            others = columns - columns // images
            if topk > others:
                raise UserError(
                    f"--topk is {topk}, but there are only {others} views of other "
                    "images to take. Lower it, or raise --images."
                )
            best = np.argsort(-values, axis=1, kind="stable")[:, :topk]
            among = np.zeros_like(chosen)
            np.put_along_axis(among, best, True, axis=1)
            chosen &= among
            words = f"the {topk} views of the highest score"
        if threshold is not None:
            chosen &= values > threshold
            words += f"{', where they are' if topk else ''} above {threshold:g}"
        return Detected(scores, tf.constant(chosen), words)


def _scores(compared: Compared) -> tf.Tensor:
    """Returns the highest cosine over an image's views, as detection scores it."""
    views, images, dim = compared.candidates.shape
    rows = tf.reshape(compared.candidates, [views * images, dim])
    return Scores(compared.references, rows, views=views).of(tf.range(views * images))


def _looked(
    look: _Look, pool: Pool, settings: Settings
) -> tuple[Counts, Stability, gallery.Gallery, np.ndarray, int]:
    """Measures the audited checkpoint, with two sets of views of each image."""
    counts, stability = Counts(), Stability()
    pictures = gallery.Gallery(
        rows=settings.rows, columns=settings.columns, images=pool.images
    )
    compared, labels = pool.embedded(0)
    others = look.rounds(pool, *pool.embedded(1))
    rounds = look.rounds(pool, compared, labels)
    for part, one, other in zip(pool.rounds(), rounds, others, strict=True):
        again = other.of_images()
        counts.add(one)
        stability.add(one.of_images(), again)
        pictures.add(one, again, first=part.start)
    return counts, stability, pictures, labels, int(compared.candidates.shape[0])


def _pictures(
    pictures: gallery.Gallery, step: int
) -> tuple[dict[str, Sequence[gallery.Shown]], dict[str, str]]:
    shown: dict[str, Sequence[gallery.Shown]] = {_SAMPLE: pictures.sample}
    titles = {
        _SAMPLE: f"Step {step}: images of the run (left), and the images "
        "taken for their false negatives. A random sample."
    }
    if pictures.errors:
        shown[_ERRORS] = pictures.errors
        titles[_ERRORS] = (
            f"Step {step}: the errors of the highest scores. Not a random sample."
        )
    return shown, titles


def _prefixes(workdir: Workdir) -> list[str]:
    found = Checkpoints(workdir.checkpoints).prefixes()
    if not found:
        raise UserError(
            f"{workdir.path} has no checkpoint yet. A run writes the first after "
            "train.checkpoint_every steps, or when it is stopped."
        )
    return found


def _chosen(
    training: Training,
    prefixes: Sequence[str],
    workdir: Workdir,
    step: int | None,
    damaged: dict[str, str],
) -> str:
    """Returns the checkpoint of a step, or without one the latest that is whole.

    It is loaded, so that damage is found before others are measured. Later ones that
    are damaged are added to `damaged`, each with the reason.
    """
    by_step = {step_of(prefix): prefix for prefix in prefixes}
    if step is not None and step not in by_step:
        raise UserError(
            f"--step is {step}; {workdir.path} has checkpoints of the steps "
            f"{', '.join(map(str, by_step))}. Name one of these."
        )
    tried = prefixes[::-1] if step is None else [by_step[step]]
    for prefix in tried:
        try:
            training.load(workdir, prefix)
        except Damaged as error:
            damaged[prefix] = error.reason
            if prefix == tried[-1]:
                raise
        else:
            break
    return prefix


def _notes(workdir: Workdir) -> list[str]:
    if read_status(workdir.path).state.startswith("running"):
        return ["the run is still training: these are its results so far"]
    return []


def _at(step: int, counts: Counts) -> dict[str, Any]:
    return {"step": step, **counts.own(), "chance_precision": counts.chance}


def _named(album: gallery.Album, row: dict[str, Any], key: str) -> dict[str, Any]:
    """Returns a row with the name of a class beside its label."""
    name = {"label": "class", "taken_for_it": "taken_for_it_class"}[key]
    return {**row, name: album.class_name(row[key])}
