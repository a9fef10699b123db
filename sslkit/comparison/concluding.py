"""What can and what cannot be concluded from a comparison, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sslkit.comparison.statistics import ENOUGH, difference

if TYPE_CHECKING:
    from sslkit.comparison.comparing import Group


def conclusions(
    groups: Sequence[Group], against: Group, measures: Sequence[str]
) -> list[str]:
    """Returns lines about numbers of seeds, pairs and comparisons."""
    return list(_lines(groups, against, measures))


def _lines(
    groups: Sequence[Group], against: Group, measures: Sequence[str]
) -> Iterator[str]:
    if not measures:
        yield "no run has results: train them to their ends, or `sslkit evaluate` them"
        return
    for group in groups:
        seeds = [run.seed for run in group.runs]
        twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
        if twice:
            yield (
                f"{group.letter} has several runs of seed {', '.join(twice)}: they "
                "count as one, their mean"
            )
    if len(groups) == 1:
        yield (
            "all runs are of one configuration: what is shown is its spread over seeds"
        )
        return
    others = [group for group in groups if group is not against]
    found = [
        one
        for group in others
        for name in measures
        if (one := difference(group.of(name), against.of(name))) is not None
    ]
    if not found:
        yield f"no other group has a measure that {against.letter} has: none compares"
        return
    fewest = min(one.n for one in found)
    if any(one.interval is None for one in found):
        yield (
            "from one run of each nothing can be concluded: two seeds of one "
            "configuration differ, too. Add seeds, e.g. with `sslkit sweep --over "
            "'train.seed = 0..7'`"
        )
    elif fewest < ENOUGH:
        yield (
            f"with {fewest} {'pairs' if all(o.paired for o in found) else 'runs'} an "
            "interval holds only if differences are spread like a normal distribution, "
            f"and no sign-flip test comes below p = {2 / 2**fewest:.2g}: 'perhaps' is "
            f"the most that is said. {ENOUGH} seeds are the fewest that can say more, "
            "and 8 to 10 are better"
        )
    if not all(one.paired for one in found):
        yield (
            "seeds do not match everywhere: those comparisons are of two sets (Welch), "
            "and less sharp than pairs of one seed"
        )
    if len(found) > 1:
        yield (
            f"{len(found)} comparisons are shown: of twenty that differ by nothing, "
            "one is expected to look as if it did"
        )
