"""Recipes that use old names."""

from __future__ import annotations

import warnings

import pytest
from fake_distribution import install

from sslkit import plugins
from sslkit.config import difference, load, read
from sslkit.deprecation import Renamed

BENT = """
    from sslkit.api import Schedule, checked, renamed

    class Bent(Schedule):
        @renamed("power", "exponent", gone_in="acme-bent 2.0")
        @checked
        def __init__(self, *, exponent: float = 0.5):
            self.exponent = exponent

        def rate(self, step, *, steps, batch_size, examples):
            return 1.0

    class Inherits(Bent):
        pass
"""
OLD = """
    train.objective = @objectives.toy
    train.schedule = @schedules.toy_bend()
    schedules.toy_bend.power = 2.0
    data.name = 'cifar10'
"""
NEW = OLD.replace("bend", "bent").replace("power", "exponent")


@pytest.fixture
def bent(world):
    install(
        world.parent / "site",
        "acme-bent",
        entry_points={
            "sslkit.schedules": {"toy_bent": "toy_bent:Inherits"},
            "sslkit.renamed": {"schedules.toy_bend": "schedules.toy_bent"},
        },
        modules={"toy_bent.py": BENT},
    )


def test_old_names_are_read_as_new_ones(bent, recipe):
    with pytest.warns(Renamed) as caught:
        config = load([recipe("gin/x.gin", OLD)])
    assert sorted({str(warning.message) for warning in caught}) == [
        "schedules.toy_bend is now schedules.toy_bent (gin/x.gin:3)",
        "schedules.toy_bend is now schedules.toy_bent (gin/x.gin:4)",
        "schedules.toy_bent.power is now schedules.toy_bent.exponent (gin/x.gin:4); "
        "the old name is removed in acme-bent 2.0",
    ]
    assert config.train()["schedule"].exponent == 2.0
    assert "schedules.toy_bent.exponent = 2.0" in config.resolution.render()


def test_new_names_do_not_warn_and_later_ones_count(bent, recipe):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read([recipe("gin/x.gin", NEW)])
    with pytest.warns(Renamed):
        config = load([recipe("gin/x.gin", OLD)], ["schedules.toy_bent.exponent = 3.0"])
    assert config.train()["schedule"].exponent == 3.0


def test_a_run_that_was_started_by_the_old_names_is_the_same_run(bent, recipe):
    new = read([recipe("gin/x.gin", NEW)]).render()
    old = new.replace("toy_bent", "toy_bend").replace("exponent", "power")
    assert old != new
    assert difference(old, new) == []


def test_a_plugin_with_the_old_name_is_not_renamed(bent, world, recipe):
    install(
        world.parent / "site",
        "acme-bend",
        entry_points={"sslkit.schedules": {"toy_bend": "toy_bent:Bent"}},
        modules={},
    )
    with pytest.warns(Renamed, match="toy_bend.power is now schedules.toy_bend.exp"):
        resolution = read([recipe("gin/x.gin", OLD)])
    assert "schedules.toy_bend" in resolution.targets()


def test_a_missing_new_name_is_an_error_that_names_it(world):
    install(
        world.parent / "site",
        "acme-lost",
        entry_points={"sslkit.renamed": {"schedules.bend": "schedules.toy_fallin"}},
        modules={},
    )
    assert plugins.strays() == [
        "acme-lost renames schedules.bend to schedules.toy_fallin, which is not "
        "installed. Did you mean 'schedules.toy_falling'?"
    ]
