"""`sslkit plugins`, and the front door that all commands share."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest
from fake_distribution import install

from sslkit.cli.main import COMMANDS, main

SCHEDULE = """
    from sslkit.api import Schedule

    class Plugin(Schedule):
        def rate(self, step, *, steps, batch_size, examples):
            return 1.0
"""


@pytest.fixture
def site(tmp_path: pathlib.Path, monkeypatch) -> pathlib.Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def sslkit(*arguments: str, path: pathlib.Path | None = None):
    """Runs the command in a process of its own."""
    environment = dict(os.environ)
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run(
        [sys.executable, "-m", "sslkit", *arguments],
        capture_output=True,
        text=True,
        env=environment,
    )


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert all(name in text and summary in text for name, summary in COMMANDS.items())


def test_the_table_lists_by_kind_and_marks_a_conflict(site):
    for name, version in (("acme", "1.0"), ("rival", "2.0")):
        install(
            site,
            name,
            version=version,
            entry_points={"sslkit.schedules": {"contested": f"{name}_schedule:Plugin"}},
            modules={},
        )
    result = sslkit("plugins", path=site)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    schedules = lines[lines.index("schedules") :]
    assert [line.split() for line in schedules if "contested  " in line] == [
        ["contested", "acme", "1.0", "acme_schedule:Plugin"],
        ["contested", "rival", "2.0", "rival_schedule:Plugin"],
    ]
    assert (
        sum("error: schedules.contested is claimed twice" in line for line in lines)
        == 2
    )
    assert [line for line in lines if not line.startswith(" ")] == [
        "augmentations",
        "backbones",
        "evaluations",
        "objectives",
        "optimizers",
        "reporters",
        "runners",
        "schedules",
        "sources",
    ]


def test_a_group_that_is_none_is_an_error_of_the_table(site, capsys):
    install(
        site,
        "acme-stray",
        entry_points={"sslkit.schedule": {"mine": "a:B"}},
        modules={},
    )
    assert main(["plugins"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "error: acme-stray announces mine in the entry-point group sslkit.schedule, "
        "which is none of sslkit's. Did you mean 'sslkit.schedules'?"
    )


def test_check_verifies_each_and_fails_if_one_does(site, capsys, monkeypatch):
    install(
        site,
        "acme-two",
        entry_points={
            "sslkit.schedules": {
                "checked_well": "checked_well:Plugin",
                "checked_ill": "checked_ill:Plugin",
            }
        },
        modules={"checked_well.py": SCHEDULE, "checked_ill.py": "1 / 0"},
    )
    # Only the made-up ones, so that this test is of the command alone.
    from sslkit import plugins

    ours = [p for p in plugins.installed() if p.distribution == "acme-two"]
    monkeypatch.setattr(plugins, "installed", lambda: ours)
    assert main(["plugins", "--check"]) == 1
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("schedules")
    assert lines[at + 1].split() == [
        "checked_ill",
        "acme-two",
        "1.0",
        "checked_ill:Plugin",
    ]
    assert "error: " in lines[at + 2]
    assert "ZeroDivisionError: division by zero" in lines[at + 2]
    assert lines[at + 3].split() == [
        "checked_well",
        "acme-two",
        "1.0",
        "ok",
        "checked_well:Plugin",
    ]
    assert lines[lines.index("runners") + 1] == "  none"


def test_light_commands_leave_tensorflow_alone():
    # The time they take follows from what they import: TensorFlow alone takes 3 s.
    for arguments in (["--help"], ["plugins"], ["config", "--help"]):
        code = (
            "import sys; from sslkit.cli.main import main\n"
            f"try: main({arguments})\n"
            "except SystemExit: pass\n"
            "heavy = {'tensorflow', 'keras', 'numpy', 'rich', 'stevedore', 'sklearn'}\n"
            "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
        )
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert result.stderr.strip() == "[]", arguments


def test_an_unknown_command_suggests_the_nearest(capsys):
    assert main(["trian"]) == 2
    assert capsys.readouterr().err == (
        "sslkit: error: no command is called 'trian'. Did you mean 'train'? "
        f"Commands: {', '.join(COMMANDS)}.\n"
    )


def test_no_command_is_an_error(capsys):
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, "sslkit: interrupted\n"),
        (
            ValueError("too\nmany lines."),
            1,
            "sslkit: unexpected ValueError: too; run again with --debug for the "
            "traceback\n",
        ),
    ],
)
def test_errors_become_one_line_and_a_code(monkeypatch, capsys, error, code, line):
    def fail():
        raise error

    monkeypatch.setattr("sslkit.plugins.installed", fail)
    assert main(["plugins"]) == code
    assert capsys.readouterr().err == line
    with pytest.raises(type(error)):
        main(["plugins", "--debug"])


def test_a_closed_pipe_is_no_error():
    code = (
        "import os, sys; from sslkit.cli.main import main\n"
        "read, write = os.pipe(); os.close(read); os.dup2(write, 1)\n"
        "sys.stdout.reconfigure(line_buffering=True)\n"
        "sys.exit(main(['plugins']))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (1, "")
