"""Remarks about a run, as text, and what to try."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Literal

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
"""Accuracy. If kNN is lower than its best by more than this, it has fallen."""
_SLIM = 0.02
"""Accuracy. An encoder that is better than an untrained one by less than this has
learned little."""


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
    found = [
        *_collapse(run),
        *_numbers(run),
        *_learning(run),
        *_data(run),
        *_gain(run),
    ]
    order: dict[Tone, int] = {"bad": 0, "note": 1, "good": 2}
    return sorted(found, key=lambda remark: order[remark.tone])


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
    measured = (run.result or {}).get("health", {}).get("trained encoder", {})
    value = measured.get("effective_rank") or (rank.values[-1] if rank else None)
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
            f"{value:.0f}{dim} directions.",
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


def _learning(run: Record) -> Iterator[Remark]:
    done, of = run.status.step, run.status.steps
    ended = of is not None and done >= of
    if of is not None and not ended:
        yield Remark(
            "note",
            f"Not finished: {done:,} of {of:,} updates are done "
            f"({run.status.state.partition(';')[0]}). This page shows the state at "
            "that step.",
        )
    knn = run.series.get("knn_top1")
    if knn and len(knn.values) > 2:
        best = max(knn.values)
        at = knn.steps[knn.values.index(best)]
        if best - knn.values[-1] > _LOST:
            yield Remark(
                "bad",
                f"kNN was best at step {at:,} ({best:.1%}) and is "
                f"{knn.values[-1]:.1%} now.",
                "Keep the best checkpoint (train.keep_best = 'knn_top1'), lower the "
                "learning rate, or train for fewer epochs.",
            )
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
        longer = (
            f"Train for longer: the same command with a larger train.epochs and "
            f"--extend continues from step {done:,}. A new run of that length is "
            "better, because its learning rate is scheduled for that length."
        )
        yield Remark(
            "note",
            f"Still improving: over the last fifth of the run the loss fell by "
            f"{last:.3g}, {last / share:.0%} of its whole fall.",
            longer if ended else "",
        )
    else:
        yield Remark(
            "good",
            f"Settled: over the last fifth of the run the loss fell by {last:.3g}, "
            f"{last / share:.0%} of its whole fall.",
        )


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
    by_name: dict[str, dict[str, float]] = {}
    for row in rows:
        by_name.setdefault(row["protocol"], {})[row["representation"]] = row["top1"]
    linear = [p for p in by_name if p.startswith("linear")] or list(by_name)
    for protocol in linear[:1]:
        found = by_name[protocol]
        ours, theirs = found.get("trained encoder"), found.get("untrained encoder")
        pixels = found.get("raw pixels")
        short = protocol.partition(" (")[0]
        if ours is None:
            continue
        others = {
            "an untrained encoder": theirs,
            "raw pixels": pixels,
        }
        behind = [
            f"{name} ({value:.1%})"
            for name, value in others.items()
            if value is not None and ours - value < _SLIM
        ]
        known = [
            f"{name} {value:.1%}" for name, value in others.items() if value is not None
        ]
        if behind:
            yield Remark(
                "note",
                f"By the {short} protocol it is hardly better than "
                f"{' and '.join(behind)}, or not at all: {ours:.1%}.",
                "Train for longer, and look at the mistakes and the views below.",
            )
        elif known:
            yield Remark(
                "good",
                f"It has learned: {short} {ours:.1%}, compared with "
                f"{', '.join(known)}.",
            )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
