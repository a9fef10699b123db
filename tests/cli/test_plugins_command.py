"""`sslkit plugins`, and what all commands share."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest
from fake_distribution import install

from sslkit import __version__
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
    """Runs the command in a separate process."""
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


def test_the_table_lists_all_and_marks_a_conflict(site):
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
    assert lines[0].split() == [
        *("kind", "name", "distribution", "version", "status", "summary")
    ]
    assert [line.split() for line in lines if " contested " in line] == [
        ["schedules", "contested", "acme", "1.0", "broken"],
        ["schedules", "contested", "rival", "2.0", "broken"],
    ]
    assert lines[-1].startswith("error: schedules.contested is claimed twice")
    (fnc,) = (line for line in lines if line.startswith("objectives     fnc "))
    assert fnc.split(maxsplit=5)[3:] == [
        __version__,
        "installed",
        "A contrastive loss in which likely false negatives are attracted or left out.",
    ]


def test_an_unknown_kind_of_plugin_is_an_error_below_the_table(site, capsys):
    install(
        site,
        "acme-stray",
        entry_points={"sslkit.schedule": {"mine": "a:B"}},
        modules={},
    )
    assert main(["plugins"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "error: acme-stray announces mine in the entry-point group sslkit.schedule, "
        "which is not one of sslkit's. Did you mean 'sslkit.schedules'?"
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
    rows = [line.split()[1:5] for line in lines[1:3]]
    assert rows == [
        ["checked_ill", "acme-two", "1.0", "broken"],
        ["checked_well", "acme-two", "1.0", "works"],
    ]
    assert lines[3].startswith("error: schedules.checked_ill of acme-two 1.0")
    assert "ZeroDivisionError: division by zero" in lines[3]
    assert len(lines) == 4


LINE = """
    from sslkit.api import PositiveFloat, Schedule, checked

    class Plugin(Schedule):
        \"\"\"Falls in a line.

        After Robbins and Monro 1951, on a line.

        Args:
            base: the rate
                at the start.
            power: what it is raised to.
        \"\"\"

        @checked
        def __init__(self, *, base: PositiveFloat, power: float = 1.0):
            self.base = base
            self.power = power

        def rate(self, step, *, steps, batch_size, examples):
            import tensorflow as tf

            done = tf.cast(step, tf.float32) / steps
            return self.base * (1 - done)
"""


@pytest.fixture
def line(site, tmp_path, monkeypatch):
    """A plugin of another distribution, and a recipe that uses it."""
    install(
        site,
        "acme-line",
        entry_points={"sslkit.schedules": {"line": "acme_line:Plugin"}},
        modules={"acme_line.py": LINE},
    )
    work = tmp_path / "work"
    (work / "gin").mkdir(parents=True)
    (work / "gin" / "mine.gin").write_text(
        "include 'gin/simclr_digits_pretrain.gin'\n"
        "train.schedule = @schedules.line()\nschedules.line.base = 0.1\n"
    )
    monkeypatch.chdir(work)


def test_show_prints_what_the_source_says(line, capsys):
    assert main(["plugins", "show", "line"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "schedules.line, of acme-line 1.0 (acme_line:Plugin)",
        "  Falls in a line.",
        "",
        "  After Robbins and Monro 1951, on a line.",
        "",
        "paper: Robbins and Monro 1951",
        "recipes: gin/mine.gin",
        "arguments:",
        "  base = (required)",
        "      a number above 0",
        "      the rate at the start.",
        "  power = 1.0",
        "      a number",
        "      what it is raised to.",
    ]
    assert "acme_line" not in sys.modules


def test_show_names_recipes_of_several_stages(capsys, repository, monkeypatch):
    monkeypatch.chdir(repository)
    assert main(["plugins", "show", "objectives.supervised"]) == 0
    said = capsys.readouterr().out
    assert "gin/fnc_digits_full.gin" in said
    assert "gin/simclr_digits_pretrain.gin" not in said
    assert "paper: https://arxiv.org/abs/2002.05709" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shw"], "does not know 'shw'. Did you mean 'show'? It takes: list, show, ch"),
        (["show"], "`sslkit plugins show` needs the name of a plugin"),
        (["list", "fnc"], "`sslkit plugins list` takes no name"),
        (["show", "fnd"], "no plugin is called 'fnd'. Did you mean 'fnc'?"),
        (
            ["show", "objectves.fnc"],
            "no plugin is called 'objectves.fnc'. Did you mean 'objectives.fnc'?",
        ),
        (
            ["show", "fnc"],
            "is the name of 2 plugins. Give the full name: augmentations.fnc or "
            "objectives.fnc.",
        ),
        (
            ["show", "adam", "--set", "beta1 = 0.5"],
            "--set goes only with `sslkit plugins",
        ),
        (
            ["show", "adam", "--check"],
            "--check goes only with the list; to check one plugin: `sslkit",
        ),
        (
            ["check", "line"],
            "schedules.line has no default for base. Add --set 'base =",
        ),
        (
            ["check", "line", "--set", "bse = 1.0"],
            "schedules.line has no parameter 'bse' (--set 'bse = 1.0'). Did you mean",
        ),
        (
            ["check", "line", "--set", "base = -1.0"],
            "schedules.line.base is -1.0 (--set 'base = -1.0'); it must be a number ab",
        ),
    ],
)
def test_refuses_in_one_line(words, said, line, capsys):
    assert main(["plugins", *words]) == 2
    (refusal,) = capsys.readouterr().err.splitlines()
    assert said in refusal


def test_check_prints_one_row_per_law(line, capsys):
    assert main(["plugins", "check", "line", "--set", "base = 0.5"]) == 1
    lines = capsys.readouterr().out.splitlines()
    cells = [re.split(r" {2,}", row.strip(), maxsplit=2) for row in lines]
    rows = {law: found for law, *found in cells}
    result, reason = rows["gives a finite rate at every step"]
    assert result == "failed"
    assert reason.startswith("the rate is -0.012")
    assert "at step 41 of 40" in reason
    assert rows["gives the same rate in a graph"] == ["passed"]
    assert rows["docstrings explain every parameter"] == ["passed"]
    assert lines[-1] == "4 laws and 1 point of style: 4 passed, 1 failed"


def test_style_is_advice(site, capsys):
    said = "            power: what it is raised to.\n"
    assert said in LINE
    install(
        site,
        "acme-terse",
        entry_points={"sslkit.schedules": {"terse": "acme_terse:Plugin"}},
        modules={
            "acme_terse.py": LINE.replace(said, "").replace("(1 - done)", "0.5**done")
        },
    )
    assert main(["plugins", "check", "terse", "--set", "base = 0.5"]) == 0
    *_, row, last = capsys.readouterr().out.splitlines()
    assert re.split(r" {2,}", row.strip(), maxsplit=2) == [
        "docstrings explain every parameter",
        "advice",
        "its docstrings do not explain power. Give each a line under Args, of the "
        "class or of the constructor.",
    ]
    assert last == "4 laws and 1 point of style: 4 passed, 1 advice"


def test_light_commands_do_not_import_tensorflow():
    # Their time depends on what they import: TensorFlow alone takes 3 s.
    show = ["plugins", "show", "objectives.fnc"]
    for arguments in (["--help"], ["plugins"], show, ["config", "--help"]):
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
def test_errors_become_one_line_and_an_exit_code(
    monkeypatch, capsys, error, code, line
):
    def fail():
        raise error

    monkeypatch.setattr("sslkit.plugins.installed", fail)
    assert main(["plugins"]) == code
    assert capsys.readouterr().err == line
    with pytest.raises(type(error)):
        main(["plugins", "--debug"])


def test_a_closed_pipe_is_not_an_error():
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
