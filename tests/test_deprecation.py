"""Names that have changed: the old ones work, and warn in one line."""

from __future__ import annotations

import ast
import inspect
import types
import warnings

import pytest
from packaging.version import Version

import sslkit
from sslkit import deprecation
from sslkit.arguments import PositiveFloat, checked
from sslkit.deprecation import Renamed, old_names, renamed
from sslkit.errors import UserError


class Bent:
    @renamed("power", "exponent", gone_in="acme 2.0")
    @checked
    def __init__(self, *, exponent: PositiveFloat = 0.5):
        self.exponent = exponent


def test_an_old_keyword_works_and_warns():
    with pytest.warns(Renamed) as caught:
        assert Bent(power=2.0).exponent == 2.0
    (warning,) = caught
    assert str(warning.message) == (
        "Bent.power is now Bent.exponent; the old name is removed in acme 2.0"
    )
    assert warning.filename == __file__


def test_the_new_keyword_is_checked_and_does_not_warn():
    assert Bent(exponent=2.0).exponent == 2.0
    assert list(inspect.signature(Bent).parameters) == ["exponent"]
    with (
        pytest.warns(Renamed),
        pytest.raises(UserError, match=r"Bent\.exponent is -1\.0; it must be a number"),
    ):
        Bent(power=-1.0)


def test_old_and_new_keyword_together_are_refused():
    with pytest.raises(UserError, match=r"Bent\.power is now .*; give only the new"):
        Bent(power=1.0, exponent=1.0)


def test_a_renaming_of_what_is_not_taken_is_a_mistake():
    with pytest.raises(ValueError, match="must take exponnt, and not power"):
        renamed("power", "exponnt", gone_in="2.0")(Bent.__init__)


def test_an_old_name_of_a_module_works_and_warns():
    module = types.ModuleType("acme")
    module.__getattr__ = old_names(
        "acme", {"Bended": ("acme.Bent", Bent)}, gone_in="acme 2.0"
    )
    with pytest.warns(Renamed, match=r"^acme.Bended is now acme.Bent; .* acme 2.0$"):
        assert module.Bended is Bent
    with pytest.raises(AttributeError, match="module 'acme' has no attribute 'Bend'"):
        module.Bend  # noqa: B018


def test_python_shows_it_by_default():
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        deprecation.warn("a", "b")
    assert [str(warning.message) for warning in caught] == ["a is now b"]


def test_old_names_of_sslkit_go_in_time(repository):
    """An old name works for one minor version: remove the names that are found here."""
    here = Version(sslkit.__version__)
    for path in (repository / "sslkit").rglob("*.py"):
        if "gone_in" not in (text := path.read_text()):
            continue
        for node in ast.walk(ast.parse(text)):
            match node:
                case ast.keyword(arg="gone_in", value=ast.Constant(value=str(gone))):
                    name, _, version = gone.partition(" ")
                    assert name == "sslkit" and here < Version(version), path
