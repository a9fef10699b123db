"""What annotations accept, and how they are described."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Optional, TypeVar, Union

import numpy as np
import pytest

from sslkit import arguments
from sslkit.arguments import Range
from sslkit.arguments.wanted import Anything, Kind, Promise, wanted

T = TypeVar("T")


class Optimizer(Kind):
    noun = "an optimizer"
    example = "@optimizers.adam"


class Schedule(Kind):
    noun = "a schedule"
    example = "@schedules.cosine"


def promise(kind, made):
    return Promise(kind, made, "@it")


@pytest.mark.parametrize(
    ("hint", "fine", "wrong"),
    [
        (int, [0, -3, np.int64(4)], [1.0, True, "1", None, [1]]),
        (float, [0, 1.5, np.float32(2), math.inf], [False, "0.1", None]),
        (bool, [True], [1, "True", None]),
        (str, ["", "a"], [1, None, ["a"]]),
        (None, [None], [0, ""]),
        (Optional[int], [None, 1], ["a", 1.5]),  # noqa: UP045
        (Union[int, str], [1, "a"], [None, 1.5]),  # noqa: UP007
        (int | None, [None, 1], [1.5, True]),
        (Literal["a", "b"], ["a"], ["c", None, ("a",)]),
        (Literal[1, None], [1, None], [True, 2, 1.0]),
        (Sequence[str], [[], ("a",), ["a", "b"]], ["a", ["a", 1], 3, {"a": 1}]),
        (Iterable[int], [(1,), range(3)], [(1.5,), "12"]),
        (list, [[1, "a"], ()], ["a", 1]),
        (tuple[int, ...], [(), [1, 2]], [("a",), 1]),
        (tuple[float, float], [(0, 1.5), [1, 2]], [(1,), (1, 2, 3), ("a", 1), 5]),
        (Mapping[str, int], [{}, {"a": 1}], [{"a": "b"}, {1: 1}, [("a", 1)]]),
        (dict, [{1: 2}], ["a", None]),
        (Callable[..., Any], [print, int], [3, "print", None]),
        (type[int], [int], ["int"]),
        (Annotated[int, Range(2, 5)], [2, 5], [1, 6, 3.0]),
        (Annotated[int | None, Range(2)], [None, 2], [1]),
        (Annotated[float, "a note"], [-7], ["a"]),
        (
            Optimizer,
            [promise(Optimizer, True), promise(None, True)],
            [promise(Optimizer, False), promise(Schedule, True), 5, "adam", None],
        ),
        (
            Callable[[], Optimizer],
            [promise(Optimizer, False), promise(None, True)],
            [promise(Optimizer, True), promise(Schedule, False), 5, "adam"],
        ),
        (type[Optimizer], [promise(Optimizer, False)], [promise(Optimizer, True)]),
        (Callable[..., Any], [promise(Schedule, False), promise(Schedule, True)], []),
        (int, [], [promise(Schedule, True)]),
        (Optimizer | None, [None, promise(Optimizer, True)], [promise(Schedule, True)]),
    ],
)
def test_accepts(hint, fine, wrong):
    want = wanted(hint)
    assert [value for value in fine if not want.accepts(value)] == []
    assert [value for value in wrong if want.accepts(value)] == []


@pytest.mark.parametrize("hint", [Any, object, T, np.ndarray, "int", 3, int | np.bool_])
def test_what_is_not_understood_accepts_anything(hint):
    want = wanted(hint)
    assert all(want.accepts(value) for value in (1, "a", None, [], promise(None, True)))


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("PositiveInt", [1, 10**9, 10**400], [0, -1, -(10**400)]),
        ("NonNegativeInt", [0], [-1]),
        ("PositiveFloat", [1e-300], [0, -1e-9, math.inf, math.nan]),
        ("NonNegativeFloat", [0, 0.0], [-1e-9, math.inf]),
        ("Share", [0, 1], [-0.01, 1.01, math.nan]),
        ("PositiveShare", [1, 1e-9], [0, 1.01]),
        ("HalfOpenShare", [0, 0.999], [1, -0.1]),
        ("Cosine", [-1, 1], [-1.1, 1.1]),
        ("Seed", [0, 2**31 - 1], [-1, 2**31]),
    ],
)
def test_the_vocabulary(name, inside, outside):
    want = wanted(getattr(arguments, name))
    assert all(want.accepts(value) for value in inside)
    assert not any(want.accepts(value) for value in outside)


@pytest.mark.parametrize(
    ("hint", "value", "words"),
    [
        (int, "a", "a whole number"),
        (arguments.PositiveInt, 0, "a whole number, 1 or more"),
        (arguments.PositiveFloat, 0, "a number above 0"),
        (arguments.HalfOpenShare, 1, "a number in [0, 1)"),
        (Annotated[float, Range(high=2)], 3, "a number, 2 or less"),
        (Annotated[float, Range(high=2, below=True)], 3, "a number below 2"),
        (arguments.PositiveInt | None, 0, "a whole number, 1 or more, or None"),
        (Literal["a", "b", "c"], "d", "'a', 'b' or 'c'"),
        (bool, 1, "True or False"),
        (Sequence[str], 5, "a sequence, each a string"),
        (Sequence[str], "bias", "a sequence, each a string: ['bias'] holds one"),
        (tuple[float, float], 5, "(a number, a number)"),
        (Mapping[str, int], 5, "a mapping from a string to a whole number"),
        (Optimizer, 5, "an optimizer, such as @optimizers.adam()"),
        (
            Optimizer,
            promise(Optimizer, False),
            "an optimizer, with parentheses: @it()",
        ),
        (
            Callable[..., Optimizer],
            promise(Optimizer, True),
            "a class or function that makes an optimizer, without parentheses: @it",
        ),
        (
            Callable[..., Optimizer],
            5,
            "a class or function that makes an optimizer, such as @optimizers.adam",
        ),
        (Callable[..., Any], 5, "a class or a function"),
    ],
)
def test_words(hint, value, words):
    assert wanted(hint).words(value) == words


def test_anything_is_for_what_has_no_annotation():
    assert isinstance(wanted(Any), Anything)
