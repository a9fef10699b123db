"""Discovery: what is listed, what is loaded, and the messages of refusals."""

from __future__ import annotations

import io
import pathlib
import subprocess
import sys

import pytest
from fake_distribution import install

from sslkit import plugins
from sslkit.errors import UserError

SCHEDULE = """
    from sslkit.api import Schedule

    class {name}(Schedule):
        def __init__(self, *, base: float = 1.0):
            self.base = base

        def rate(self, step, *, steps, batch_size, examples):
            return self.base
"""


@pytest.fixture
def site(tmp_path: pathlib.Path, monkeypatch) -> pathlib.Path:
    """An empty folder of installed packages, on sys.path."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def schedule(site: pathlib.Path, module: str, source: str = SCHEDULE, **options):
    """Installs distribution acme-<module> with the schedule `<module>`."""
    install(
        site,
        f"acme-{module}",
        entry_points={"sslkit.schedules": {module: f"{module}:Plugin"}},
        modules={f"{module}.py": source.replace("{name}", "Plugin")},
        **options,
    )


def test_lists_what_metadata_says_and_imports_nothing(site):
    schedule(
        site,
        "listed_only",
        source="raise RuntimeError('imported')",
        version="2.5",
        requires=["numpy", "sslkit>=0.1", "SSLkit<9; extra == 'x'", "not a line !"],
    )
    (found,) = (p for p in plugins.installed() if p.name == "listed_only")
    assert found == plugins.Plugin(
        kind="schedules",
        name="listed_only",
        value="listed_only:Plugin",
        distribution="acme-listed_only",
        version="2.5",
        requires=("sslkit>=0.1", "SSLkit<9; extra == 'x'"),
    )
    assert "listed_only" not in sys.modules


def test_listing_does_not_import_tensorflow():
    code = (
        "import sys; from sslkit import plugins; plugins.installed();"
        "print(sorted({'tensorflow', 'keras', 'stevedore'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_loads_a_class(site):
    schedule(site, "loads_well")
    loaded = plugins.load("schedules", "loads_well")
    assert loaded.__name__ == "Plugin"
    assert loaded(base=0.5).base == 0.5


def test_sees_a_plugin_installed_a_moment_ago(site, tmp_path_factory, monkeypatch):
    # If stevedore's cache were used, it would still have the first listing.
    schedule(site, "first_here")
    plugins.load("schedules", "first_here")
    second = tmp_path_factory.mktemp("second")
    schedule(second, "second_here")
    monkeypatch.syspath_prepend(second)
    assert plugins.load("schedules", "second_here").__module__ == "second_here"


def test_unknown_name_suggests_the_nearest(site):
    schedule(site, "wavelike")
    with pytest.raises(UserError) as caught:
        plugins.load("schedules", "wavelik")
    line = str(caught.value)
    assert line.startswith(
        "no schedule is called 'wavelik'. Did you mean 'wavelike'? Installed: "
    )
    assert "wavelike" in line.partition("Installed:")[2]


def test_an_unknown_group_is_reported(site):
    install(
        site,
        "acme-stray",
        entry_points={"sslkit.objetives": {"mine": "a:B", "other": "a:C"}},
        modules={},
    )
    line = (
        "acme-stray announces mine, other in the entry-point group sslkit.objetives, "
        "which is not one of sslkit's. Did you mean 'sslkit.objectives'?"
    )
    assert plugins.strays() == [line]
    with pytest.raises(UserError) as caught:
        plugins.find("objectives", "mine")
    assert str(caught.value).startswith("no objective is called 'mine'. ")
    assert str(caught.value).endswith(line)


def test_no_installed_distribution_has_an_unknown_group():
    assert plugins.strays() == []


def test_a_name_claimed_twice_names_both(site):
    schedule(site, "contested")
    install(
        site,
        "other",
        version="2.0",
        entry_points={"sslkit.schedules": {"contested": "elsewhere:Plugin"}},
        modules={"elsewhere.py": SCHEDULE.replace("{name}", "Plugin")},
    )
    with pytest.raises(UserError) as caught:
        plugins.load("schedules", "contested")
    assert str(caught.value) == (
        "schedules.contested is claimed twice: acme-contested 1.0 (contested:Plugin); "
        "other 2.0 (elsewhere:Plugin). Uninstall one."
    )
    assert "elsewhere" not in sys.modules


def test_a_failing_import_is_one_line_and_keeps_its_cause(site):
    schedule(site, "broken_import", source="import no_such_module_anywhere")
    with pytest.raises(UserError) as caught:
        plugins.load("schedules", "broken_import")
    assert str(caught.value) == (
        "schedules.broken_import of acme-broken_import 1.0 (broken_import:Plugin) "
        "cannot be imported: ModuleNotFoundError: No module named "
        "'no_such_module_anywhere'. Repair or uninstall acme-broken_import."
    )
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_a_missing_class_is_a_failing_import(site):
    schedule(site, "no_class", source="pass")
    with pytest.raises(UserError, match=r"AttributeError: .*Plugin"):
        plugins.load("schedules", "no_class")


def test_a_broken_plugin_does_not_stop_another(site):
    schedule(site, "sick_one", source="1 / 0")
    schedule(site, "sound_one")
    assert plugins.load("schedules", "sound_one").__name__ == "Plugin"


def test_refuses_a_name_that_no_recipe_can_write(site):
    install(
        site,
        "acme-dashed",
        entry_points={"sslkit.schedules": {"two-words": "dashed:Plugin"}},
        modules={"dashed.py": SCHEDULE.replace("{name}", "Plugin")},
    )
    said = r"schedules\.two-words of acme-dashed 1\.0 cannot be written .* two_words\.$"
    with pytest.raises(UserError, match=said):
        plugins.load("schedules", "two-words")


@pytest.mark.parametrize(
    ("module", "source", "message"),
    [
        (
            "wrong_kind",
            """
            class Plugin:
                pass
            """,
            r"is not a subclass of sslkit\.api\.Schedule",
        ),
        ("not_a_class", "Plugin = 3", r"is not a subclass of sslkit\.api\.Schedule"),
        (
            "still_abstract",
            """
            from sslkit.api import Schedule

            class Plugin(Schedule):
                pass
            """,
            "does not implement rate",
        ),
        (
            "unspelled_keywords",
            SCHEDULE.replace("*, base: float = 1.0", "**options"),
            r"takes \*\*options, .* Name every keyword",
        ),
        (
            "unspelled_positions",
            SCHEDULE.replace("*, base: float = 1.0", "*base"),
            r"takes \*base",
        ),
        (
            "another_call",
            SCHEDULE.replace("*, steps, batch_size, examples", "steps"),
            r"breaks its contract: its rate\(self, step, steps\) cannot be called as "
            r"rate\(self, step, \*, steps, batch_size, examples\): ",
        ),
    ],
)
def test_refuses_what_is_not_a_plugin(site, module, source, message):
    schedule(site, module, source=source.replace("{name}", "Plugin"))
    with pytest.raises(UserError, match=message):
        plugins.load("schedules", module)


def test_refuses_the_keras_constructor(site):
    # keras.layers.Layer's own constructor takes **kwargs.
    install(
        site,
        "acme-lazy",
        entry_points={"sslkit.backbones": {"lazy": "lazy_backbone:Lazy"}},
        modules={
            "lazy_backbone.py": """
                from sslkit.api import Backbone

                class Lazy(Backbone):
                    feature_dim = 3

                    def call(self, images, *, training):
                        return images
            """
        },
    )
    with pytest.raises(UserError, match=r"takes \*\*kwargs"):
        plugins.load("backbones", "lazy")


def test_a_class_without_constructor_is_fine(site):
    source = """
        from sslkit.api import Schedule

        class Plugin(Schedule):
            def rate(self, step, *, steps, batch_size, examples):
                return 1.0
    """
    schedule(site, "plain_class", source=source)
    assert plugins.load("schedules", "plain_class")().rate is not None


@pytest.mark.parametrize(
    ("module", "requirement", "wanted"),
    [
        ("wants_older", "sslkit<0.0.1", "sslkit<0.0.1"),
        ("wants_newer", "SSLKit>=99; python_version > '3'", "sslkit>=99"),
    ],
)
def test_refuses_a_plugin_made_for_another_sslkit(site, module, requirement, wanted):
    schedule(site, module, requires=[requirement])
    with pytest.raises(UserError) as caught:
        plugins.load("schedules", module)
    assert f"acme-{module} 1.0, which requires {wanted}; this is sslkit" in str(
        caught.value
    )
    assert module not in sys.modules


def test_a_requirement_that_does_not_apply_is_ignored(site):
    schedule(site, "applies_not", requires=["sslkit<0.0.1; extra == 'old'"])
    assert plugins.load("schedules", "applies_not")


def test_the_built_ins_are_listed():
    titles = {plugin.title for plugin in plugins.installed()}
    assert titles >= {
        "augmentations.crop_flip",
        "backbones.resnet",
        "objectives.supervised",
        "optimizers.adam",
        "optimizers.lars",
        "optimizers.momentum",
        "runners.mirrored",
        "runners.single",
        "schedules.constant",
        "schedules.cosine",
    }


def test_a_plugin_that_ends_the_process_is_named(site):
    schedule(site, "leaves", source="raise SystemExit(3)")
    with pytest.raises(
        UserError, match=r"schedules.leaves of .* ends the process when"
    ):
        plugins.load("schedules", "leaves")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("METADATA", b""),
        ("METADATA", None),
        ("entry_points.txt", b"\xff\xfe"),
    ],
)
def test_a_damaged_distribution_does_not_hide_others(site, file, content):
    schedule(site, "hurt")
    schedule(site, "beside_it")
    path = next(site.glob("acme_hurt-*")) / file
    path.unlink() if content is None else path.write_bytes(content)
    titles = {plugin.title for plugin in plugins.installed()}
    assert {"schedules.beside_it", "schedules.cosine"} <= titles
    assert "schedules.hurt" not in titles
    (line,) = plugins.strays()
    assert "acme_hurt is damaged" in line.replace("-", "_")
    assert line.endswith("Install it again, or uninstall it.")
    assert plugins.load("schedules", "beside_it")


@pytest.mark.parametrize("error", ["BaseException('no')", "GeneratorExit"])
def test_an_error_that_is_not_an_exception_is_a_failing_import_too(site, error):
    name = f"odd_{error.partition('(')[0].lower()}"
    schedule(site, name, source=f"raise {error}")
    with pytest.raises(UserError, match=rf"{name} of .* cannot be imported: "):
        plugins.load("schedules", name)


def test_a_plugin_that_hangs_is_named(site, monkeypatch):
    monkeypatch.setattr(plugins, "_PATIENCE", 0.01)
    # The import goes on after the note.
    waiting = """
    import sys, time
    while "still being" not in sys.stderr.getvalue():
        time.sleep(0.001)
    """
    errors = io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)
    schedule(site, "sleepy", source=waiting + SCHEDULE)
    assert plugins.load("schedules", "sleepy")
    assert errors.getvalue() == (
        "note: schedules.sleepy of acme-sleepy 1.0 (sleepy:Plugin) is still being "
        "imported after 0.01 s. `sslkit doctor` ends an import that hangs.\n"
    )
