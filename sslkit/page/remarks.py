"""Remarks about a run, as text, and what to try.

Two accuracies on the same n images count as different only if they are further apart
than two standard errors of one such accuracy, 2 √(p (1 - p) / n), with their mean as p.
A smaller difference is called noise. The seed of a run changes its accuracy too, which
this does not include; `sslkit compare` does.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from sslkit.evaluate.results import PIXELS, TRAINED, UNTRAINED
from sslkit.page.record import Record, Series

Tone = Literal["good", "note", "bad"]

_SLOW_DATA = 0.1
"""From this share of the time on, waiting for batches is a problem."""
_FEW = 8
"""With fewer reports of a number than this, no trend is read from them."""
_FLAT = 0.03
"""As a share of the whole fall of the loss. A smaller fall over the last fifth is not
counted as an improvement."""
_LOST = 0.02
"""Accuracy. If kNN is lower than its best by more than this, and by more than noise,
it has fallen."""
_SLIM = 0.02
"""Accuracy. An encoder that is better than an untrained one by less than this has
learned little."""
_ERRORS = 2
"""A difference of two accuracies is noise up to this number of standard errors."""


@dataclasses.dataclass(frozen=True)
class Remark:
    """One remark about a run."""

    tone: Tone
    text: str
    """One or two sentences."""
    advice: str = ""
    """What to try; empty if there is nothing to do."""


def remarks(run: Record) -> list[Remark]:
    """Returns remarks about a run's health, problems first."""
    wrong = [*_collapse(run), *_numbers(run), *_knn(run)]
    # Their advice would be contradicted by the advice to go on as before.
    sound = not any(remark.tone == "bad" for remark in wrong)
    found = [
        *wrong,
        *_length(run),
        *_loss(run, sound=sound),
        *_data(run),
        *_gain(run),
    ]
    order: dict[Tone, int] = {"bad": 0, "note": 1, "good": 2}
    return sorted(found, key=lambda remark: order[remark.tone])


def measured_on(run: Record) -> str:
    """Returns on which images a run's evaluation has measured health, as text."""
    result = run.result or {}
    count = result.get("health", {}).get(TRAINED, {}).get("examples")
    split = result.get("health_split", "")
    images = f"{split} images".strip()
    return f"{count:,} {images}" if isinstance(count, int) else images


def _collapse(run: Record) -> Iterator[Remark]:
    advice = {
        "effective_rank": "Look at the views (is the augmentation too strong?), lower "
        "the learning rate, and check that the temperature is not far above 0.2.",
        "spread": "Lower the learning rate, and check that negatives reach the loss: "
        "batch size, memory bank, temperature.",
        "bank_filled": "Check that the objective writes its bank, and the bank's size.",
        "bank_sameness": "The momentum twin that fills it may not change: check its "
        "decay.",
        "detected_share": "Change the threshold or the top-k of the detector.",
    }
    wrong = run.alarms
    for name, words in wrong.items():
        yield Remark("bad", f"{_sentence(words)}.", advice.get(name, ""))
    rank = run.series.get("health/effective_rank")
    measured = (run.result or {}).get("health", {}).get(TRAINED, {})
    value, where = measured.get("effective_rank"), measured_on(run)
    if value is None and rank and rank.values:
        value, where = rank.values[-1], f"training images, at step {rank.steps[-1]:,}"
    if value is None:
        if not wrong:
            yield Remark(
                "note",
                "Whether the features have collapsed is not known: they were not "
                "measured yet.",
                "Health is measured every train.health_every updates, and by "
                f"`sslkit evaluate --workdir {run.path}`.",
            )
    elif not {"effective_rank", "spread"} & wrong.keys():
        dim = f" of {measured['dim']}" if measured.get("dim") else ""
        yield Remark(
            "good",
            "The features have not collapsed: they use about "
            f"{value:.0f}{dim} directions ({where}).",
        )


def _numbers(run: Record) -> Iterator[Remark]:
    lost = {name: one.lost for name, one in run.series.items() if one.lost}
    if lost:
        said = ", ".join(f"{name} ({count} times)" for name, count in lost.items())
        yield Remark(
            "bad",
            f"Some reports were not finite: {said}.",
            "`sslkit replay` repeats the step and says where the first such number is; "
            "a lower learning rate or a longer warm-up usually helps.",
        )


def _knn(run: Record) -> Iterator[Remark]:
    knn = run.series.get("knn_top1")
    if knn and len(knn.values) > 2:
        best, now = max(knn.values), knn.values[-1]
        at = max(s for s, v in zip(knn.steps, knn.values, strict=True) if v == best)
        if best - now > max(_LOST, _noise(best, now, run.probed)):
            yield Remark(
                "bad",
                f"kNN was best at step {at:,} ({best:.1%}) and is {now:.1%} now"
                f"{_on(run.probed)}.",
                "Keep the best checkpoint (train.keep_best = 'knn_top1'), lower the "
                f"learning rate, or train for a shorter time ({_setting(run)}).",
            )


def _length(run: Record) -> Iterator[Remark]:
    done, of = run.status.step, run.status.steps
    if of is not None and done < of:
        yield Remark(
            "note",
            f"Not finished: {done:,} of {of:,} updates are done "
            f"({run.status.state.partition(';')[0]}). This page shows the state at "
            "that step.",
        )


def _loss(run: Record, *, sound: bool) -> Iterator[Remark]:
    """Says whether the loss still falls.

    Args:
        run: the run.
        sound: whether nothing is wrong with it, so that training on may be advised.
    """
    fall = _fall(run.series.get("loss"))
    if fall is None:
        return
    share, last = fall
    if share <= 0:
        yield Remark(
            "bad",
            "The loss does not fall: it is as high as at the beginning, or higher.",
            "Look at the learning rate and at the gradient norm below.",
        )
    elif last / share < -_FLAT:
        yield Remark(
            "note",
            f"The loss rises again: by {-last:.3g} over the last fifth of the run.",
            "Lower the learning rate, or look at what happens at that step.",
        )
    elif last / share > _FLAT:
        done, of = run.status.step, run.status.steps
        longer = (
            f"Train for longer: the same command with a larger {_setting(run)} and "
            f"--extend continues from step {done:,}. A new run of that length is "
            "better, because its learning rate is scheduled for that length."
        )
        yield Remark(
            "note",
            f"Still improving: over the last fifth of the run the loss fell by "
            f"{last:.3g}, {last / share:.0%} of its whole fall.",
            longer if sound and of is not None and done >= of else "",
        )
    else:
        yield Remark(
            "good",
            f"Settled: over the last fifth of the run the loss fell by {last:.3g}, "
            f"{last / share:.0%} of its whole fall.",
        )


def _setting(run: Record) -> str:
    """Returns the setting that determines the run's length: steps win over epochs."""
    steps = run.settings.get("train.steps", "None")
    return "train.epochs" if steps == "None" else "train.steps"


def _fall(loss: Series | None) -> tuple[float, float] | None:
    """Returns the fall of a loss over the run and over its last fifth.

    None if there are too few reports. Both ends are means over a tenth of the reports,
    so that one batch does not change the result.
    """
    if loss is None or len(loss.values) < _FEW:
        return None
    width = max(1, len(loss.values) // 10)
    fifth = len(loss.values) * 4 // 5
    begin = _mean(loss.values[:width])
    before = _mean(loss.values[max(0, fifth - width) : fifth])
    end = _mean(loss.values[-width:])
    return begin - end, before - end


def _data(run: Record) -> Iterator[Remark]:
    if run.waited is None:
        return
    if run.waited >= _SLOW_DATA:
        yield Remark(
            "note",
            f"The data is too slow: {run.waited:.0%} of the time was spent waiting for "
            "batches.",
            "`sslkit bench` says whether the host or the model is the slower; "
            "a cache (data.cache), views that are finished on the device (placement = "
            "'device') and `sslkit data-service` help.",
        )
    else:
        yield Remark(
            "good",
            f"The data is fast enough: {run.waited:.1%} of the time was spent waiting "
            "for batches.",
        )


def _gain(run: Record) -> Iterator[Remark]:
    rows = (run.result or {}).get("rows", ())
    by_name: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        by_name.setdefault(row["protocol"], {})[row["representation"]] = row
    linear = [p for p in by_name if p.startswith("linear")] or list(by_name)
    for protocol in linear[:1]:
        found = by_name[protocol]
        if TRAINED in found:
            others = {
                name: found[key]["top1"]
                for key, name in (
                    (UNTRAINED, "an untrained encoder"),
                    (PIXELS, "raw pixels"),
                )
                if key in found
            }
            scored = found[TRAINED].get("n_test")
            yield from _compared(
                protocol.partition(" (")[0],
                found[TRAINED]["top1"],
                others,
                scored if isinstance(scored, int) and scored > 0 else None,
            )


def _compared(
    protocol: str, ours: float, others: Mapping[str, float], scored: int | None
) -> Iterator[Remark]:
    """Compares a trained encoder's accuracy with those that need no training.

    Args:
        protocol: its name.
        ours: the accuracy, in [0, 1].
        others: what it is compared with -> accuracy, in [0, 1].
        scored: images on which all were measured; None if not known.
    """
    lower = {name: value for name, value in others.items() if value > ours}
    noise = {name: _noise(ours, value, scored) for name, value in others.items()}
    close = {k: v for k, v in others.items() if abs(ours - v) <= noise[k]}
    slim = {k: v for k, v in others.items() if ours - v < _SLIM}
    within = _within({name: noise[name] for name in close}, scored)
    if any(name not in close for name in lower):
        yield Remark(
            "bad",
            f"By the {protocol} protocol it is worse than {_apart(ours, lower)}: "
            f"{ours:.1%}{within}",
            "Look at the views below: they must keep what tells the classes apart. If "
            "they do not, weaken the augmentation.",
        )
    elif close:
        yield Remark(
            "note",
            f"By the {protocol} protocol it is not clearly better than "
            f"{_apart(ours, close)}: {ours:.1%}{within}",
            "More test images, or several seeds, would tell more.",
        )
    elif slim:
        yield Remark(
            "note",
            f"By the {protocol} protocol it is hardly better than "
            f"{_apart(ours, slim)}: {ours:.1%}{_on(scored)}.",
            "Look at the mistakes and the views below.",
        )
    elif others:
        known = ", ".join(f"{name} {value:.1%}" for name, value in others.items())
        yield Remark(
            "good",
            f"It has learned: {protocol} {ours:.1%}, compared with {known}"
            f"{_on(scored)}.",
        )


def _apart(ours: float, others: Mapping[str, float]) -> str:
    """Returns names and accuracies with their distances to ours, as text."""
    said = []
    for name, value in others.items():
        gap = 100 * (value - ours)
        by = f"{abs(gap):.1f} points {'more' if gap > 0 else 'less'}"
        said.append(f"{name} ({value:.1%}, {by if gap else 'the same'})")
    return " and ".join(said)


def _noise(one: float, other: float, scored: int | None) -> float:
    """Returns up to which difference two accuracies on the same images may be equal.

    Args:
        one: an accuracy, in [0, 1].
        other: another on the same images, in [0, 1].
        scored: how many images; None if not known, which gives 0.
    """
    mean = (one + other) / 2
    return _ERRORS * math.sqrt(mean * (1 - mean) / scored) if scored else 0.0


def _within(noise: Mapping[str, float], scored: int | None) -> str:
    """Returns the end of a sentence: how many images, and which differences are noise.

    Args:
        noise: what differs by no more than noise -> the noise.
        scored: how many images; None if not known.
    """
    if not noise or scored is None:
        return f"{_on(scored)}."
    return (
        f". With {scored:,} test images, the difference to {' and '.join(noise)} is "
        f"within the noise, which is about {100 * max(noise.values()):.2g} points."
    )


def _on(scored: int | None) -> str:
    """Returns the number of images for the end of a sentence."""
    return f", on {scored:,} test images" if scored else ""


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
