"""Tests of each row of SECURITY.md."""

from __future__ import annotations

import ast
import io
import json
import pathlib
import pickle
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from fake_distribution import install

from sslkit import config, plugins
from sslkit.arguments import check_folder
from sslkit.cli.main import main
from sslkit.errors import UserError
from sslkit.secrets import hide
from sslkit.workdir import Workdir

DIGITS = "gin/simclr_digits_pretrain.gin"


class Bomb:
    """An object that writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return pathlib.Path.touch, (pathlib.Path(self.path),)


def sources(repository):
    folders = ("sslkit", "plugins", "benchmarks", ".ci")
    found = [repository / "setup.py"]
    found += [path for name in folders for path in (repository / name).rglob("*.py")]
    return [path for path in found if "tests" not in path.parts]


RISKY_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}
RISKY_CALLS = {"eval", "exec", "__import__", "compile", "os.system", "os.popen"}
ALLOWED = {
    # An annotation in the source of a function that is already imported.
    ("sslkit/arguments/checking.py", "eval"),
}


def risks(path, tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (n.name for n in node.names if n.name in RISKY_MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in RISKY_MODULES:
            yield node.module
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            given = {k.arg: ast.unparse(k.value) for k in node.keywords}
            if name in RISKY_CALLS:
                yield name
            if (
                name in ("np.load", "numpy.load")
                and given.get("allow_pickle") != "False"
            ):
                yield "np.load without allow_pickle=False"
            for keyword, value in (
                ("allow_pickle", "True"),
                ("shell", "True"),
                ("safe_mode", "False"),
            ):
                if given.get(keyword) == value:
                    yield f"{keyword}={value}"
            if name.endswith((".extractall", ".extract", "unpack_archive")):
                yield name


def test_no_code_is_taken_from_data(repository):
    found = set()
    for path in sources(repository):
        name = path.relative_to(repository).as_posix()
        tree = ast.parse(path.read_bytes())
        found |= {(name, risk) for risk in risks(path, tree)}
    assert found == ALLOWED


def test_the_search_finds_what_it_looks_for():
    bad = (
        "import pickle\nfrom joblib import load\nnp.load(f)\neval(x)\n"
        "subprocess.run(x, shell=True)\nz.extractall(p)\nnp.load(f, allow_pickle=True)"
    )
    assert set(risks("", ast.parse(bad))) == {
        "pickle",
        "joblib",
        "np.load without allow_pickle=False",
        "eval",
        "shell=True",
        "z.extractall",
        "allow_pickle=True",
    }


def pickled(path):
    """The bytes of an array that runs code when it is unpickled."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.array([Bomb(path)], object), allow_pickle=True)
    return file.getvalue()


def test_a_cache_that_holds_a_pickle_is_not_read(tmp_path):
    from sslkit.data.disk import _load
    from sslkit.data.records import _load as load_records

    mark = tmp_path / "mark"
    cache = tmp_path / "cache"
    cache.mkdir()
    with zipfile.ZipFile(cache / "table.npz", "w") as archive:
        for name in ("shapes", "labels", "read"):
            archive.writestr(f"{name}.npy", pickled(mark))
    (cache / "pixels").touch()
    records = tmp_path / "records.npy"
    records.write_bytes(pickled(mark))
    assert _load(cache) is None
    assert load_records(records) is None
    assert not mark.exists()
    # It would have run.
    pickle.loads(pickle.dumps(Bomb(mark)))
    assert mark.exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("import os", "'import os' is not allowed"),
        ("from os import system", "is not allowed"),
        ("train.seed = __import__('os').system('touch {mark}')", "is not gin"),
        ("train.seed = open('{mark}', 'w')", "is not gin"),
        ("train.seed = [open('{mark}', 'w')]", "is not gin"),
        ("train.seed = @os.system()", "'os.system' cannot be configured"),
        ("train.seed = @builtins.open()", "'builtins.open' cannot be configured"),
        ("os.system.command = 'touch {mark}'", "cannot be configured"),
        ("train.seed = @objectives.os()", "no objective is called 'os'"),
        ("train.runner = @subprocess.Popen()", "cannot be configured"),
        ("train.seed = %gin.register", "there is no macro 'gin.register'"),
        (
            "seed = @gin.config.parse_config()\ntrain.seed = %seed",
            "cannot be configured",
        ),
    ],
)
def test_a_recipe_runs_no_code(tmp_path, line, words):
    mark = tmp_path / "mark"
    recipe = tmp_path / "bad.gin"
    recipe.write_text(f"include '{DIGITS}'\n{line.format(mark=mark)}\n")
    with pytest.raises(UserError) as refused:
        config.read([str(recipe)])
    assert words in str(refused.value)
    assert not mark.exists()


def test_the_configuration_of_a_workdir_is_a_recipe_like_any(tmp_path):
    (tmp_path / "config.gin").write_text("train.seed = @os.getpid()\n")
    with pytest.raises(UserError, match=r"'os\.getpid' cannot be configured"):
        config.read([Workdir(str(tmp_path)).config()])


@pytest.fixture
def acme(tmp_path, monkeypatch):
    """A plugin in a separate distribution, which reports that it is imported."""
    monkeypatch.syspath_prepend(tmp_path)
    source = "raise RuntimeError('imported')"
    install(
        tmp_path,
        "acme-rates",
        version="2.0",
        entry_points={"sslkit.schedules": {"acme": "acme_rates:Acme"}},
        modules={"acme_rates.py": source},
    )


def test_plugins_of_others_are_named_before_they_are_imported(acme, tmp_path):
    from sslkit.execution import carry_out

    said = []
    resolution = config.read([DIGITS], ["train.schedule = @schedules.acme()"])
    with pytest.raises(UserError, match=r"acme-rates.*cannot be imported.*imported"):
        carry_out(resolution, str(tmp_path / "W"), say=said.append)
    assert "plugins: schedules.acme is code of acme-rates 2.0" in said


def test_plugins_that_a_run_does_not_name_are_not_mentioned(acme):
    own = [p.title for p in plugins.installed() if p.distribution == "sslkit"]
    assert plugins.others(own) == []
    assert plugins.others(["schedules.acme", *own]) == [
        "schedules.acme is code of acme-rates 2.0"
    ]


def test_a_checkpoint_file_names_nothing_outside_its_folder(tmp_path):
    from sslkit.checkpoints import find_checkpoint, write

    class Seven:
        shape = ()

        def numpy(self):
            return np.int64(7)

    folder, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    write({"step": Seven()}, str(elsewhere / "model.ckpt-1"))
    for path in (elsewhere / "model.ckpt-1", "../elsewhere/model.ckpt-1"):
        (folder / "checkpoint").write_text(f'model_checkpoint_path: "{path}"\n')
        with pytest.raises(UserError, match="there is no checkpoint"):
            find_checkpoint(str(folder))
    write({"step": Seven()}, str(folder / "model.ckpt-1"))
    assert find_checkpoint(str(folder)) == str(folder / "model.ckpt-1")


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "..", "a/../../b", "a\\b"])
def test_names_of_data_stay_in_their_folder(tmp_path, name):
    from sslkit.data.disk import _name

    class Source:
        def __init__(self, name):
            self.name = name

        def identity(self):
            return "x"

    inside = tmp_path / _name(Source(name))
    assert inside.resolve().parent == tmp_path.resolve()
    workdir = Workdir(str(tmp_path))
    path = pathlib.Path(workdir.write_transfer({"step": 1}, data=name))
    assert path.resolve().parent == tmp_path.resolve()


@pytest.mark.parametrize("name", ["../out", "/out", "a b", ".."])
def test_names_of_stages_are_words(tmp_path, name):
    recipe = tmp_path / "stages.gin"
    recipe.write_text(f"stages.{name} = '{DIGITS}'\n")
    with pytest.raises(UserError, match="is not gin"):
        config.read_stages([str(recipe)])


SECRETS = {
    "gs://me:hunter22@bucket/x": "hunter22",
    "grpc://tok3n@host:5050": "tok3n",
    "https://h/x?token=qwertz&a=1": "qwertz",
    "https://h/x?a=1&X-Goog-Signature=abc123": "abc123",
    "s3://b/x?api_key=zzz999": "zzz999",
    "Authorization: Bearer abcdefgh.ijk": "abcdefgh.ijk",
    "push to hf_ABCDEFGHIJKLMNOPQRST now": "hf_ABCDEFGHIJKLMNOPQRST",
    "AKIAABCDEFGHIJKLMNOP": "AKIAABCDEFGHIJKLMNOP",
}


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_stars(text):
    hidden = hide(f"{text} cannot be read")
    assert SECRETS[text] not in hidden
    assert "***" in hidden and hidden.endswith(" cannot be read")
    assert hide(hidden) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "gs://bucket/runs/a@b",
        "grpc://127.0.0.1:5050",
        "me@example.org wrote 3 files",
        "objectives.fnc.temperature = 0.1",
        "folder:/home/me/key=1/monkey",
        "f965fbd5a0c1e3b7d9f2a4c6e8b0d1f3a5c7e9b1",
        "step_00001000.data-00000-of-00001",
    ],
)
def test_other_words_stay(text):
    assert hide(text) == text


def test_no_message_holds_a_secret(tmp_path, capsys):
    secret = "https://me:hunter22@host/x"
    assert "hunter22" not in str(UserError(f"cannot read {secret}"))
    for argv in (
        ["train", "--gin", DIGITS, "--workdir", f"gs://me:hunter22@b/{tmp_path.name}"],
        [
            "train",
            "--gin",
            DIGITS,
            "--workdir",
            "W",
            "--set",
            f"data.name = '{secret}'",
        ],
        ["train", "--gin", secret, "--workdir", str(tmp_path)],
        ["evaluate", "--workdir", secret],
        ["status", secret],
    ):
        assert main(argv) == 2
        shown = capsys.readouterr()
        assert "hunter22" not in shown.out + shown.err


@pytest.mark.parametrize(
    "setting",
    [
        "data.name = 'folder:gs://me:hunter22@bucket'",
        "data.service = 'grpc://me:hunter22@host:1'",
        "train.restore = ('encoder/', 'https://h/?token=hunter22')",
    ],
)
def test_a_configuration_holds_no_secret(setting):
    with pytest.raises(UserError, match="holds a password or a token") as refused:
        config.read([DIGITS], [setting])
    assert "hunter22" not in str(refused.value)


def test_a_path_holds_no_secret():
    with pytest.raises(UserError, match="with a password or a token in it"):
        check_folder("--workdir", "gs://me:hunter22@bucket/W")


def test_what_a_run_was_started_on_is_kept_without_secrets(tmp_path):
    workdir = Workdir(str(tmp_path))
    record = {"train": {"name": "gs://me:hunter22@bucket"}, "steps": 3}
    workdir.write_data(record)
    text = (tmp_path / "data.json").read_text()
    assert "hunter22" not in text
    assert json.loads(text)["steps"] == 3


def test_reporters_are_told_no_secrets(tmp_path):
    from sslkit.training.reporting import run_info

    workdir = Workdir(str(tmp_path))
    # As an older version may have written it.
    workdir.write_config("data.service = 'grpc://me:hunter22@host:1'\n")
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    info = run_info(workdir, strategy, start=0, steps=1)
    assert "hunter22" not in str(info)
    assert info.settings == {"data.service": "grpc://***@host:1"}


def test_every_row_of_what_is_defended_names_its_tests(repository):
    text = (repository / "SECURITY.md").read_text(encoding="utf-8")
    for path in ("tests/data/test_service.py", "tests/doctor", "tests/test_trust.py"):
        assert f"`{path}" in text
        assert (repository / path).exists()
