"""Plugins that cannot be imported are named, and the others are still tried."""

from __future__ import annotations

import os
import textwrap

import pytest
from fake_distribution import install

from sslkit import plugins
from sslkit.doctor.children import Step, run_probe
from sslkit.doctor.installed import check_plugins


def announce(tmp_path, monkeypatch, group="sslkit.schedules", **options):
    monkeypatch.syspath_prepend(tmp_path)
    install(
        tmp_path,
        "acme",
        entry_points={group: {"mine": "acme_mine:Mine"}},
        modules={"acme_mine.py": textwrap.dedent("raise SystemExit")},
        **options,
    )


def found(probe, **options):
    findings = list(check_plugins(seconds=1, probe=probe, **options))
    return [(finding.level, finding.said) for finding in findings]


def healthy(what, *titles, seconds):
    return [Step(title, None) for title in titles]


def test_all_installed_plugins_are_imported():
    ((level, said),) = found(healthy)
    assert level == "ok"
    assert said.startswith(f"{len(plugins.installed())} can be imported, from sslkit")


def test_a_plugin_that_ends_the_process_is_named_and_the_rest_are_tried(
    tmp_path, monkeypatch
):
    announce(tmp_path, monkeypatch, "sslkit.augmentations", version="2.0")
    asked = []

    def probe(what, *titles, seconds):
        asked.append(titles)
        if "augmentations.mine" not in titles:
            return healthy(what, *titles, seconds=seconds)
        before = titles[: titles.index("augmentations.mine")]
        died = Step(
            "augmentations.mine", "it crashes the process with SIGSEGV", fatal=True
        )
        return [*healthy(what, *before, seconds=seconds), died]

    ((level, said),) = found(probe)
    assert level == "broken"
    assert said == (
        "augmentations.mine of acme 2.0 (acme_mine:Mine) cannot be imported: it "
        "crashes the process with SIGSEGV. Repair or uninstall acme"
    )
    first, second = asked
    assert {*first} - {*second} >= {"augmentations.mine"}
    assert {*first} == {plugin.title for plugin in plugins.installed()}


def test_an_error_is_reported_unchanged():
    def probe(what, *titles, seconds):
        return [
            Step(titles[0], "UserError: it is no subclass."),
            *healthy(what, *titles[1:], seconds=1),
        ]

    assert found(probe) == [("broken", "it is no subclass.")]


def test_a_process_that_cannot_start_is_not_tried_for_ever():
    def probe(what, *titles, seconds):
        return [Step("process", "it ends the process with exit code 1", fatal=True)]

    assert found(probe) == [
        (
            "broken",
            "they cannot be imported: it ends the process with exit code 1",
        )
    ]


def test_problems_in_the_metadata_are_found_without_an_import(tmp_path, monkeypatch):
    announce(tmp_path, monkeypatch, group="sslkit.schedule")
    lines = found(healthy, load=False)
    assert [level for level, _ in lines] == ["broken", "note"]
    assert "Did you mean 'sslkit.schedules'?" in lines[0][1]
    assert "none was imported, because TensorFlow cannot be" in lines[1][1]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import time; time.sleep(600)", "it does not end within 6 seconds"),
        ("import os; os._exit(7)", "it ends the process with exit code 7"),
        ("raise SystemExit", "ends the process when it is imported"),
        ("import no_such_module_xyz", "No module named 'no_such_module_xyz'"),
    ],
)
def test_a_real_process_imports_the_plugin(tmp_path, source, words):
    install(
        tmp_path,
        "acme",
        entry_points={"sslkit.schedules": {"mine": "acme_mine:Mine"}},
        modules={"acme_mine.py": source},
    )
    variables = {**os.environ, "PYTHONPATH": str(tmp_path)}
    seconds = 6 if "sleep" in source else 60
    (step,) = run_probe(
        "plugins", "schedules.mine", seconds=seconds, environment=variables
    )
    assert step.name == "schedules.mine"
    assert words in step.error
