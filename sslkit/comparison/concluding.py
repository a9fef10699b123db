"""Sentences about what can and what cannot be concluded from a comparison."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sslkit.comparison.statistics import ENOUGH, difference

if TYPE_CHECKING:
    from sslkit.comparison.comparing import Group


def conclusions(
    groups: Sequence[Group], against: Group, measures: Sequence[str]
) -> list[str]:
    """Returns lines about the numbers of seeds, pairs and comparisons."""
    return list(_lines(groups, against, measures))


def _lines(
    groups: Sequence[Group], against: Group, measures: Sequence[str]
) -> Iterator[str]:
    if not measures:
        yield (
            "no run has results: train the runs to their end, or run `sslkit evaluate`"
        )
        return
    for group in groups:
        seeds = [run.seed for run in group.runs]
        twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
        if twice:
            yield (
                f"{group.letter} has several runs of seed {', '.join(twice)}: their "
                "mean counts as one run"
            )
    if len(groups) == 1:
        yield (
            "all runs have the same configuration: the table shows its spread over "
            "seeds"
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
        yield (
            f"no other group has a measure that {against.letter} has, so nothing can "
            "be compared"
        )
        return
    fewest = min(one.n for one in found)
    if fewest == 1:
        yield (
            "with one run of each nothing can be concluded: two seeds of one "
            f"configuration differ, too. {_more_seeds([against, *others])}"
        )
    elif fewest < ENOUGH:
        yield (
            f"with {fewest} {'pairs' if all(o.paired for o in found) else 'runs'} an "
            "interval is right only if differences are normally distributed, and a "
            f"sign-flip test cannot give p below {2 / 2**fewest:.2g}. So the strongest "
            f"result is 'perhaps'. More needs at least {ENOUGH} seeds; 8 to 10 are "
            "better"
        )
    if any(one.interval is None and one.n > 1 for one in found):
        yield (
            "there is no interval where all differences are the same: nothing shows "
            "how far another seed would be from them"
        )
    if not all(one.paired for one in found):
        yield (
            "some groups have different seeds. They are compared as two sets of runs "
            "(Welch's test), which finds less than pairs of runs with the same seed"
        )
    if len(found) > 1:
        yield (
            f"{len(found)} comparisons are shown: of twenty without a true difference, "
            "one is expected to look as if it had one"
        )


def _more_seeds(groups: Sequence[Group]) -> str:
    """Returns the commands that train more seeds of two groups and compare them.

    The configuration that a run has written down is a recipe. It cannot be named as one
    if it is in a bucket.
    """
    shown = groups[:2]
    if any("://" in group.runs[0].path for group in shown):
        return "Add seeds of each with `sslkit sweep`"
    commands = []
    for group in shown:
        recipe = shlex.quote(os.path.join(group.runs[0].path, "config.gin"))
        commands.append(
            f"`sslkit sweep --gin {recipe} --over 'train.seed = 0..7' "
            f"--workdir SEEDS_{group.letter}`"
        )
    folders = " ".join(f"SEEDS_{group.letter}" for group in shown)
    return (
        f"Add seeds of each, e.g. of {shown[0].letter} and {shown[1].letter}: "
        f"{', '.join(commands)}, `sslkit compare {folders}`"
    )
