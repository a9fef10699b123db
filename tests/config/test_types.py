"""Values checked against annotations, which are read from source code."""

from __future__ import annotations

import sys

import pytest
from fake_distribution import install

from sslkit.config import read
from sslkit.errors import UserError

MODULES = {
    "acme/__init__.py": "Alias = 'a string'",
    "acme/words.py": """
        from typing import Literal

        Mode = Literal["fast", "slow"]
    """,
    "acme/again.py": "from acme.words import Mode as Way",
    "acme/loop.py": "from acme.loop import Endless",
    "acme/schedules.py": """
        from __future__ import annotations

        import typing as t
        from typing import TYPE_CHECKING, Annotated, Optional, Union

        import collections.abc

        import no_such_module_anywhere as nowhere
        import sslkit.api
        from acme import again, words
        from sslkit import api
        from sslkit.api import Schedule, Share
        from sslkit.arguments import Range

        from . import loop
        from .again import Way as Manner
        from .loop import Endless

        if TYPE_CHECKING:
            from sslkit.api import Optimizer

        Own = t.Literal[1, 2]
        Few = Annotated[int, Range(low=1, high=3)]

        class Plugin(Schedule):
            def __init__(
                self,
                *,
                own: Own = 1,
                few: Few = 1,
                manner: Manner = "fast",
                mode: "words.Mode" = "fast",
                way: again.Way = "fast",
                share: Share = 0.5,
                inline: t.Annotated[float, Range(0, 1, below=True), "a note"] = 0.5,
                maybe: Optional[int] = None,
                either: Union[int, str] = 1,
                pair: tuple[float, float] = (0, 1),
                names: collections.abc.Sequence[str] = (),
                table: dict[str, Few] = {},
                optimizer: Optimizer = None,
                objective: api.Objective | None = None,
                maker: t.Callable[..., sslkit.api.Backbone] = None,
                makers: list[type[api.Backbone]] = (),
                elsewhere: nowhere.Thing = None,
                half: nowhere.Thing | int = None,
                endless: Endless = None,
                loop: loop.Endless = None,
                nonsense: Own[3] = None,
                call: print(3) = None,
                bare = None,
            ):
                pass

            def rate(self, step, *, steps, batch_size, examples):
                return 1.0
    """,
}
BASE = """\
    train.objective = @objectives.toy
    train.schedule = @schedules.acme()
"""


@pytest.fixture
def acme(world, recipe, monkeypatch):
    """A recipe whose schedule has every sort of annotation."""
    site = world.parent / "acme"
    install(
        site,
        "acme-schedules",
        entry_points={"sslkit.schedules": {"acme": "acme.schedules:Plugin"}},
        modules=MODULES,
    )
    monkeypatch.syspath_prepend(site)
    return recipe("gin/x.gin", BASE)


@pytest.mark.parametrize(
    "setting",
    [
        "own = 2",
        "few = 3",
        "manner = 'slow'",
        "mode = 'slow'",
        "way = 'slow'",
        "share = 1",
        "inline = 0",
        "maybe = None",
        "either = 'a'",
        "pair = [0, 0.5]",
        "names = ('a',)",
        "names = []",
        "table = {'a': 3}",
        "optimizer = @optimizers.adam()",
        "objective = None",
        "objective = @objectives.toy()",
        "maker = @backbones.tiny",
        "makers = [@backbones.tiny, @wide/backbones.tiny]",
        "elsewhere = 3",
        "elsewhere = @objectives.toy",
        "half = 'a'",
        "endless = 3",
        "loop = 3",
        "nonsense = 3",
        "call = 3",
        "bare = 3",
    ],
)
def test_values_that_are_right_or_cannot_be_checked_are_accepted(acme, setting):
    assert read([acme], [f"schedules.acme.{setting}"])
    assert not {"acme", "acme.schedules"} & set(sys.modules)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("own = 3", "1 or 2"),
        ("own = True", "1 or 2"),
        ("few = 4", "a whole number in [1, 3]"),
        ("manner = 'quick'", "'fast' or 'slow'"),
        ("mode = 'quick'", "'fast' or 'slow'"),
        ("way = 'quick'", "'fast' or 'slow'"),
        ("share = 1.5", "a number in [0, 1]"),
        ("inline = 1", "a number in [0, 1)"),
        ("maybe = 'a'", "a whole number or None"),
        ("either = 1.5", "a whole number or a string"),
        ("pair = (0,)", "(a number, a number)"),
        ("names = 'a'", "a sequence, each a string: ['a'] holds one"),
        ("table = {'a': 0}", "a mapping from a string to a whole number in [1, 3]"),
        ("optimizer = 3", "an optimizer, such as @optimizers.adam()"),
        (
            "optimizer = @optimizers.adam",
            "an optimizer, with parentheses: @optimizers.adam()",
        ),
        (
            "optimizer = @schedules.toy_falling()",
            "an optimizer, such as @optimizers.adam()",
        ),
        (
            "maker = @wide/backbones.tiny()",
            "a class or function that makes a backbone, without parentheses: "
            "@wide/backbones.tiny",
        ),
        (
            "makers = [@backbones.tiny()]",
            "a sequence, each a class or function that makes a backbone, such as "
            "@backbones.convnet",
        ),
    ],
)
def test_the_error_for_a_wrong_value_names_its_place(acme, setting, words):
    text = f"schedules.acme.{setting}"
    key, _, came = (part.strip() for part in text.partition("="))
    with pytest.raises(UserError) as caught:
        read([acme], [text])
    assert str(caught.value) == (
        f"{key} is {came} (--set '{text}'); it must be {words}."
    )
    assert not {"acme", "acme.schedules"} & set(sys.modules)


def test_the_place_of_a_wrong_macro_is_where_the_macro_is_set(acme, recipe):
    y = recipe("gin/y.gin", "few = 2\nschedules.acme.few = %few\n")
    z = recipe("gin/z.gin", "few = %other\n\nother = 9\n")
    with pytest.raises(UserError, match=r"few is 9 \(gin/z\.gin:3\); it must be"):
        read([acme, y, z])


def test_values_that_no_run_uses_are_not_checked(acme, recipe):
    y = recipe("gin/parts/y.gin", "objectives.toy_other.margin = 'wide'\n")
    assert read([acme, y])
