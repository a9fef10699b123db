"""Methods that cannot be called as their contract says."""

from __future__ import annotations

import functools

import pytest

from sslkit import api
from sslkit.signatures import misfit
from sslkit.testing import laws_of


class Contract:
    """Two methods and a property."""

    @property
    def groups(self): ...

    def rate(self, step, *, steps): ...

    def build(self, *shapes): ...

    def _private(self): ...


class Kept(Contract):
    groups = ("instance",)

    def build(self, shape): ...

    def _private(self, more): ...


def test_the_same_and_more_general_methods_fit():
    class Same(Kept):
        def rate(self, step, *, steps): ...

    class Renamed(Kept):
        def rate(self, number, *, steps, scale=2): ...

    class Catching(Kept):
        def rate(self, step, **_): ...

    class Static(Kept):
        groups = functools.cached_property(lambda self: {})

        @staticmethod
        def rate(step, *, steps): ...

    for fits in (Same, Renamed, Catching, Static):
        assert misfit(fits, Contract) is None


def test_a_method_without_a_keyword_does_not_fit():
    class Less(Kept):
        def rate(self, step: int) -> float: ...

    assert misfit(Less, Contract) == (
        "its rate(self, step) cannot be called as rate(self, step, *, steps): "
        "got an unexpected keyword argument 'steps'",
        "Take the same parameters",
    )


def test_a_method_that_wants_more_does_not_fit():
    class More(Kept):
        def rate(self, step, *, steps, epochs): ...

    found = misfit(More, Contract)
    assert found is not None
    assert "missing a required" in found[0]
    assert "'epochs'" in found[0]


def test_a_method_in_the_place_of_a_property_does_not_fit():
    class Called(Kept):
        def rate(self, step, *, steps): ...

        def groups(self): ...

    assert misfit(Called, Contract) == (
        "its `groups` is not a property",
        "Write @property above it",
    )


@pytest.mark.parametrize("value", [0.1, property(lambda self: 0.1)])
def test_a_value_in_the_place_of_a_method_does_not_fit(value):
    constant = type("Constant", (Kept,), {"rate": value})
    assert misfit(constant, Contract) == (
        "its `rate` is not a method",
        "Write def rate(self, step, *, steps)",
    )


def test_laws_refuse_such_a_class():
    class Short(api.Schedule):
        def rate(self, step): ...

    said = r"Short breaks the contract of Schedule: its rate\(self, step\) cannot be "
    with pytest.raises(TypeError, match=said):
        laws_of(Short)
