"""Each broken plugin breaks the law of its bug and no other."""

from __future__ import annotations

import pytest
from testing import test_laws_of_other_kinds as of_parts
from testing import test_objective_laws as of_objectives
from testing.broken import objectives

from sslkit.testing import laws_of
from sslkit.testing.checking import check_laws

# What cannot be broken alone, and why.
ALONG_WITH = {
    # Two builds of it start from other weights, whoever compares two.
    "UnseededEncoder": {"encodes_the_same_on_two_replicas"},
    "UnseededWeights": {
        "replicas_do_not_change_the_result",
        "four_replicas_do_the_same_as_two",
        "jit_does_not_change_the_result",
    },
    # What no seed fixes is another draw in each graph, on each replica, in each step.
    "GlobalDraw": {"runs_in_tf_data"},
    "GlobalNoise": {"encodes_the_same_on_two_replicas"},
    "Noisy": {"draws_the_same_in_the_same_step"},
    # An update that counts its calls is another one in each order and each graph.
    "CountsInPython": {
        "pairs_weights_by_their_paths",
        "updates_the_same_in_a_graph_and_under_jit",
    },
}


def cases():
    for kind, rows in (("part", of_parts.CASES), ("objective", of_objectives.CASES)):
        wanted: dict[str, set[str]] = {}
        for law, plugin, _ in rows:
            wanted.setdefault(plugin, set()).add(law)
        for plugin, laws in wanted.items():
            yield pytest.param(kind, plugin, laws, id=plugin)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "plugin", "laws"), list(cases()))
def test_finds_no_other(kind, plugin, laws):
    if kind == "objective":
        checked = laws_of(
            of_objectives.plugin_of(plugin), backbone=objectives.MeanColour
        )
    else:
        checked = laws_of(of_parts.broken(plugin))
    others = [law for law in checked if law.name not in laws]
    failed = {
        law.name: found.reason
        for law, found in zip(others, check_laws(others), strict=True)
        if found.result == "failed"
    }
    assert failed.keys() == ALONG_WITH.get(plugin, set()), failed
