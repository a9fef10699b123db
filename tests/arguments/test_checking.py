"""Calls in Python are checked against annotations, too."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import keras
import pytest

from sslkit.arguments import NonNegativeInt, PositiveFloat, checked
from sslkit.errors import UserError

if TYPE_CHECKING:
    from elsewhere import Unseen


class Thing:
    @checked
    def __init__(
        self,
        first,
        *,
        rate: PositiveFloat = 1,
        count: NonNegativeInt | None = None,
        names: Sequence[str] = (),
        mode: Literal["a", "b"] = "a",
        unseen: Unseen = 0,
        wrong_default: int = "kept as it is",
    ):
        self.given = first, rate, count, names, mode, unseen


class Child(Thing):
    def __init__(self, *, rate: float):
        super().__init__(None, rate=rate)


@checked
def function(*rest: int, count: NonNegativeInt, **more: int) -> int:
    return count


def refusal(call, *args, **given) -> str:
    with pytest.raises(UserError) as caught:
        call(*args, **given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_correct_arguments_are_accepted():
    thing = Thing("x", rate=2, count=0, names=["a"], mode="b", unseen=object)
    assert thing.given == ("x", 2, 0, ["a"], "b", object)
    assert function("a", count=3, other="b") == 3


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"rate": 0}, "Thing.rate is 0; it must be a number above 0."),
        ({"rate": "1"}, "Thing.rate is '1'; it must be a number above 0."),
        (
            {"count": -1},
            "Thing.count is -1; it must be a whole number, 0 or more, or None.",
        ),
        (
            {"names": ("bias")},
            "Thing.names is 'bias'; it must be a sequence, each a string: ['bias'] "
            "holds one.",
        ),
        ({"mode": "c"}, "Thing.mode is 'c'; it must be 'a' or 'b'."),
    ],
)
def test_wrong_arguments_are_one_line(given, line):
    assert refusal(Thing, "x", **given) == line


def test_a_function_is_called_by_its_name():
    assert refusal(function, count=-1).startswith("function.count is -1; ")


def test_a_subclass_that_passes_arguments_on_is_checked():
    assert refusal(Child, rate=-1) == "Thing.rate is -1; it must be a number above 0."


def test_a_long_value_is_cut():
    line = refusal(Thing, "x", rate=list(range(1000)))
    assert line.startswith("Thing.rate is [0, 1, 2")
    assert "…; it must be a number above 0." in line
    assert len(line) < 150


def test_pythons_own_words_stay():
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        Thing()
    with pytest.raises(TypeError, match="unexpected keyword argument 'rat'"):
        Thing("x", rat=1)


def test_the_signature_stays():
    assert list(inspect.signature(Thing).parameters)[:2] == ["first", "rate"]
    assert inspect.getfullargspec(Thing.__init__).args == ["self", "first"]


def test_a_keras_layer_keeps_what_it_was_made_with():
    class Layer(keras.layers.Layer):
        @checked
        def __init__(self, units: NonNegativeInt, *, name: str = "layer"):
            super().__init__(name=name)
            self.units = units

    assert Layer(3).get_config()["units"] == 3
    assert refusal(Layer, -1).startswith("Layer.units is -1; ")
