"""The command `sslkit doctor` when TensorFlow cannot be imported."""

from __future__ import annotations

import os
import pathlib

import pytest

from sslkit.cli.main import main
from sslkit.doctor.diagnosis import Diagnosis, Request, _guarded, diagnose
from sslkit.doctor.finding import Finding


@pytest.fixture
def broken_tensorflow(tmp_path, monkeypatch):
    """A TensorFlow that other processes cannot import."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "tensorflow.py").write_text("raise ImportError('libcudart is missing')")
    monkeypatch.setenv("PYTHONPATH", str(site))


def test_says_what_is_broken_and_exits_with_one(broken_tensorflow, tmp_path, capsys):
    report = tmp_path / "report.md"
    command = ["doctor", "--workdir", str(tmp_path / "W"), "--report", str(report)]
    assert main(command) == 1
    out = capsys.readouterr().out
    assert "broken  import" in out
    assert "in tensorflow: ImportError: libcudart is missing" in out
    assert "none was imported, because TensorFlow cannot be" in out
    assert "1 thing is broken" in out
    assert "libcudart is missing" in report.read_text()


def test_a_report_has_no_secrets_and_no_home(monkeypatch):
    home = str(pathlib.Path.home())
    monkeypatch.setenv("WANDB_API_KEY", "abcdef0123456789")
    before = {
        "PYTHONPATH": f"{home}/code",
        "TF_CONFIG": "grpc://me:password1@host",
        "WANDB_API_KEY": "abcdef0123456789",
        "GITHUB_TOKEN": "ghp_aaaaaaaaaaaaaaaaaaaaaaaa",
    }
    findings = (Finding("broken", "data", "gs://b/x?token=qwertz cannot be read"),)
    from sslkit.doctor.settings import SHOWN

    shown = {name: before[name] for name in SHOWN if name in before}
    text = Diagnosis(findings, shown, {"cuda_version": "12"}).report()
    for secret in ("password1", "qwertz", "ghp_", "abcdef0123456789", home):
        assert secret not in text
    assert "PYTHONPATH=~/code" in text
    assert "gs://b/x?token=*** cannot be read" in text
    assert "cuda_version: 12" in text
    assert "numpy " in text


def test_a_dash_prints_the_report(capsys, monkeypatch):
    monkeypatch.setattr(
        "sslkit.doctor.diagnosis.diagnose",
        lambda request: Diagnosis((Finding("ok", "a", "b"),), {}, {}),
    )
    assert main(["doctor", "--report", "-"]) == 0
    assert capsys.readouterr().out.startswith("sslkit doctor, ")


def test_the_environment_is_that_of_before_the_command(monkeypatch):
    seen = []

    def look(request):
        seen.append(request)
        return Diagnosis((), {}, {})

    monkeypatch.setattr("sslkit.doctor.diagnosis.diagnose", look)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert main(["doctor"]) == 0
    assert seen[0].before["KERAS_BACKEND"] == "jax"
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


def test_a_check_that_fails_is_a_finding_and_the_others_go_on(monkeypatch):
    def versions():
        yield Finding("ok", "one", "fine")
        raise ModuleNotFoundError("No module named 'packaging'")

    one, two = _guarded(versions)
    assert one.level == "ok"
    assert two == Finding(
        "broken",
        "versions",
        "they cannot be checked: ModuleNotFoundError: No module named 'packaging'",
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seconds", "0"], "--seconds is 0; give more than 0"),
        (["--workdir", " "], "Name a folder"),
        (["--report", "/no/such/folder/x"], "cannot be written"),
    ],
)
def test_options_are_checked(options, words, capsys, monkeypatch):
    monkeypatch.setattr(
        "sslkit.doctor.diagnosis.diagnose", lambda request: Diagnosis((), {}, {})
    )
    assert main(["doctor", *options]) == 2
    assert words in capsys.readouterr().err


def test_secrets_in_findings_are_hidden(broken_tensorflow):
    path = "/no/x?token=qwertz"
    found = diagnose(Request(before={}, data=[path], seconds=60))
    assert "qwertz" not in "\n".join(found.lines())
