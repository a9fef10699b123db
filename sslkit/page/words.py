"""How a run is, in words, and what to try."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Literal

from sslkit.page.record import Record, Series

Tone = Literal["good", "note", "bad"]

_STARVING = 0.1
"""Share of the time that batches may be waited for without a word."""
_FEW = 8
"""Reports of a number that a trend is not read from."""
_FLAT = 0.03
"""Share of the whole fall; a fall over the last fifth below it is none."""
_LOST = 0.02
"""Accuracy; kNN that has fallen by more since its best is said to have fallen."""
_SLIM = 0.02
"""Accuracy; an encoder that leads an untrained one by less has learned little."""


@dataclasses.dataclass(frozen=True)
class Remark:
    """One thing that is said of a run."""

    tone: Tone
    text: str
    """A sentence or two."""
    advice: str = ""
    """What to try; empty where there is nothing to do."""


def remarks(run: Record) -> list[Remark]:
    """Says how a run is: alive, learning, fed; what is wrong first."""
    found = [*_alive(run), *_numbers(run), *_learning(run), *_fed(run), *_worth(run)]
    order: dict[Tone, int] = {"bad": 0, "note": 1, "good": 2}
    return sorted(found, key=lambda remark: order[remark.tone])


def _alive(run: Record) -> Iterator[Remark]:
    advice = {
        "effective_rank": "Look at the views (are they too strong to be told apart?), "
        "lower the learning rate, and check that the temperature is not far above 0.2.",
        "spread": "Lower the learning rate, and check that negatives reach the loss: "
        "batch size, memory bank, temperature.",
        "bank_filled": "Check that the objective writes its bank, and its size.",
        "bank_sameness": "The twin that fills it may stand still: check its decay.",
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
                "Whether the features have collapsed is not known: nothing has "
                "measured them yet.",
                "Health is measured every train.health_every updates, and by "
                f"`sslkit evaluate --workdir {run.path}`.",
            )
    elif not {"effective_rank", "spread"} & wrong.keys():
        dim = f" of {measured['dim']}" if measured.get("dim") else ""
        yield Remark(
            "good",
            f"Not collapsed: the features use about {value:.0f}{dim} directions.",
        )


def _numbers(run: Record) -> Iterator[Remark]:
    lost = {name: one.lost for name, one in run.series.items() if one.lost}
    if lost:
        said = ", ".join(f"{name} ({count} times)" for name, count in lost.items())
        yield Remark(
            "bad",
            f"Some reports were not finite: {said}.",
            "`sslkit replay` does the step again and says where its numbers go bad; a "
            "lower learning rate or a longer warm-up is the usual cure.",
        )


def _learning(run: Record) -> Iterator[Remark]:
    done, of = run.status.step, run.status.steps
    ended = of is not None and done >= of
    if of is not None and not ended:
        yield Remark(
            "note",
            f"Not through: {done:,} of {of:,} updates are done "
            f"({run.status.state.partition(';')[0]}). What is shown is as of then.",
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
                "learning rate, or train for less long.",
            )
    fall = _fall(run.series.get("loss"))
    if fall is None:
        return
    share, last = fall
    if share <= 0:
        yield Remark(
            "bad",
            "The loss does not fall: it is where it began, or above.",
            "Look at the learning rate and at the gradient norm below.",
        )
    elif last / share < -_FLAT:
        yield Remark(
            "note",
            f"The loss rises again: by {-last:.3g} over the last fifth.",
            "Lower the learning rate, or look at what happens at that step.",
        )
    elif last / share > _FLAT:
        longer = (
            f"Train for longer: the same command with a larger train.epochs and "
            f"--extend goes on from step {done:,}; better still, a run of that length "
            "from the start, because the learning rate is planned for it."
        )
        yield Remark(
            "note",
            f"Still improving: over the last fifth the loss fell by {last:.3g}, "
            f"{last / share:.0%} of its whole fall.",
            longer if ended else "",
        )
    else:
        yield Remark(
            "good",
            f"Settled: over the last fifth the loss fell by {last:.3g}, "
            f"{last / share:.0%} of its whole fall.",
        )


def _fall(loss: Series | None) -> tuple[float, float] | None:
    """Returns the whole fall of a loss, and that of its last fifth; None if too short.

    Ends are means over a tenth of the reports, so that one batch does not decide.
    """
    if loss is None or len(loss.values) < _FEW:
        return None
    width = max(1, len(loss.values) // 10)
    fifth = len(loss.values) * 4 // 5
    begin = _mean(loss.values[:width])
    before = _mean(loss.values[max(0, fifth - width) : fifth])
    end = _mean(loss.values[-width:])
    return begin - end, before - end


def _fed(run: Record) -> Iterator[Remark]:
    if run.waited is None:
        return
    if run.waited >= _STARVING:
        yield Remark(
            "note",
            f"Starving: {run.waited:.0%} of the time went by waiting for batches.",
            "`sslkit bench` says whether the host or the model sets the pace; "
            "a cache (data.cache), views that are finished on the device (placement = "
            "'device') and `sslkit data-service` help.",
        )
    else:
        yield Remark(
            "good", f"Well fed: {run.waited:.1%} of the time waited for batches."
        )


def _worth(run: Record) -> Iterator[Remark]:
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
                f"By the {short} protocol it hardly leads, or does not: {ours:.1%}, "
                f"beside {' and '.join(behind)}.",
                "Train for longer, and look at the mistakes and the views below.",
            )
        elif known:
            yield Remark(
                "good",
                f"It has learned: {short} {ours:.1%}, beside {', '.join(known)}.",
            )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
