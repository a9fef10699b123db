"""The meaning of --over, and the names of folders."""

from __future__ import annotations

import pytest

from sslkit.errors import UserError
from sslkit.sweeps import read_overs
from sslkit.sweeps.values import labels


@pytest.mark.parametrize(
    ("text", "key", "settings", "words"),
    [
        (
            "train.seed = 0..2",
            "train.seed",
            ["train.seed = 0", "train.seed = 1", "train.seed = 2"],
            ("0", "1", "2"),
        ),
        ("support=[2, 4]", "support", ["support = 2", "support = 4"], ("2", "4")),
        (
            "linear/train.lr = [0.1, 1e-05]",
            "linear/train.lr",
            ["linear/train.lr = 0.1", "linear/train.lr = 1e-05"],
            ("0.1", "1e-05"),
        ),
        (
            "x.y = ['a b/c', None, (1, 2)]",
            "x.y",
            ["x.y = 'a b/c'", "x.y = None", "x.y = (1, 2)"],
            ("a_b_c", "None", "1_2"),
        ),
        (
            "train.objective = [@objectives.fnc, @objectives.simclr]",
            "train.objective",
            [
                "train.objective = @objectives.fnc",
                "train.objective = @objectives.simclr",
            ],
            ("objectives.fnc", "objectives.simclr"),
        ),
        ("x.y = -1..0", "x.y", ["x.y = -1", "x.y = 0"], ("-1", "0")),
    ],
)
def test_ranges_and_lists(text, key, settings, words):
    (over,) = read_overs([text])
    assert over.key == key
    assert [over.setting(value) for value in over.values] == settings
    assert over.words() == words


def test_equal_or_too_long_names_get_a_hash():
    long = "a" * 300
    (over,) = read_overs([f"x.y = ['a/b', 'a?b', '?', '{long}', '{long}b']"])
    words = over.words()
    assert len(set(words)) == 5
    assert all(len(word) < 60 and word for word in words)
    assert words[0].startswith("a_b-")


def test_a_label_is_the_parameter_if_that_is_unique():
    assert labels(["train.seed", "objectives.fnc.topk"]) == ["seed", "topk"]
    assert labels(["a/train.seed", "b/train.seed", "support"]) == [
        "a_train.seed",
        "b_train.seed",
        "support",
    ]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["train.seed = 0-4"], "cannot be read. Write NAME = FIRST..LAST"),
        (["train.seed"], "cannot be read. Write NAME"),
        (["train.seed = 5"], "has a single value; use --set for that"),
        (["train.seed = []"], "has no value"),
        (["train.seed = 3..1"], "goes from 3 down to 1. Give the smaller one first"),
        (["train.seed = 0..100000"], "has 100,001 values; at most 10,000 are allowed"),
        (["train.seed = [1, 1]"], "has 1 twice"),
        (["a.b = [1]\nc.d = [2]"], "has several bindings"),
        (["a.b = [1]", "a.b = 0..3"], "--over names a.b twice"),
    ],
)
def test_a_text_that_is_not_a_list_of_values_is_refused(texts, message):
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        read_overs(texts)
