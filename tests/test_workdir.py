"""Which run a workdir belongs to."""

from __future__ import annotations

import os
import pathlib

import pytest

from sslkit.api import UserError
from sslkit.config import claim
from sslkit.workdir import Workdir

CONFIG = "train.seed = 1\ntrain.steps = 5\nrunners.mirrored.replicas = 2\n"


@pytest.fixture
def workdir(tmp_path):
    return Workdir(str(tmp_path / "run"))


def read(workdir):
    with open(workdir.config()) as file:
        return file.read()


def test_a_claim_writes_the_configuration(workdir):
    claim(workdir, CONFIG)
    assert read(workdir) == CONFIG


def test_the_same_run_may_claim_it_again(workdir):
    claim(workdir, CONFIG)
    claim(workdir, CONFIG)
    assert read(workdir) == CONFIG


def test_what_does_not_change_the_result_may_change(workdir):
    claim(workdir, CONFIG)
    moved = CONFIG.replace("mirrored.replicas = 2", "mirrored.replicas = 4")
    claim(workdir, moved + "train.log_every = 3\n")
    assert "replicas = 4" in read(workdir)


def test_another_run_is_refused_with_the_difference(workdir):
    claim(workdir, CONFIG)
    with pytest.raises(
        UserError,
        match=r"to another run \(train.seed: 1 there, 2 here\)\. Choose another",
    ):
        claim(workdir, CONFIG.replace("seed = 1", "seed = 2"))
    assert read(workdir) == CONFIG


def test_of_many_differences_five_are_shown(workdir):
    claim(workdir, "".join(f"a.x{n} = 1\n" for n in range(8)))
    with pytest.raises(UserError, match=r"a.x4: 1 there, 2 here; …\)"):
        claim(workdir, "".join(f"a.x{n} = 2\n" for n in range(8)))


def test_one_process_of_several_writes(workdir, tmp_path):
    claim(workdir, CONFIG, write=False)
    assert list(tmp_path.iterdir()) == []
    claim(workdir, CONFIG)
    with pytest.raises(UserError, match="belongs to another run"):
        claim(workdir, CONFIG.replace("seed = 1", "seed = 2"), write=False)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/run cannot be written"):
        claim(Workdir(str(tmp_path / "file" / "run")), CONFIG)


def test_a_folder_that_is_not_a_workdir_is_named(workdir):
    with pytest.raises(
        UserError, match=r"not a workdir .* has no config.gin. Make one"
    ):
        workdir.config()


def test_keeps_the_result_of_each_step_and_the_latest(workdir):
    assert workdir.result() is None
    claim(workdir, CONFIG)
    for step, knn in ((10, 0.5), (30, 0.7), (20, 0.6)):
        workdir.write_result({"step": step, "rows": [], "knn": knn})
    assert workdir.result() == {"step": 30, "rows": [], "knn": 0.7}
    assert workdir.result(20) == {"step": 20, "rows": [], "knn": 0.6}
    assert workdir.result(40) is None


def test_a_result_on_other_data_is_not_the_runs(workdir):
    claim(workdir, CONFIG)
    path = workdir.write_transfer({"step": 3}, data="folder:/my/photos")
    assert path.endswith("result_3_folder_my_photos.json")
    assert workdir.result() is None


@pytest.mark.parametrize("path", ["run", "ram://b/run"])
def test_one_process_trains_in_it_at_a_time(tmp_path, path):
    path = path if "://" in path else str(tmp_path / path)
    with (
        Workdir(path).alone(),
        pytest.raises(UserError, match=rf"run is in use: process {os.getpid()} on "),
        Workdir(path).alone(),
    ):
        pass
    with Workdir(path).alone():
        pass


PATHS = """train.initialize = 'runs/pretrain'
data.name = 'folder:photos'
data.data_dir = '~/data'
train.seed = 1
"""


def test_paths_are_kept_absolute(workdir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    claim(workdir, PATHS)
    assert read(workdir) == (
        f"train.initialize = '{tmp_path}/runs/pretrain'\n"
        f"data.name = 'folder:{tmp_path}/photos'\n"
        "data.data_dir = '~/data'\n"
        "train.seed = 1\n"
    )


def test_names_and_buckets_are_not_paths(workdir):
    config = "data.name = 'cifar10'\ntrain.initialize = 'gs://b/run'\n"
    claim(workdir, config)
    assert read(workdir) == config


@pytest.mark.parametrize(
    "spelled", ["runs/pretrain", "./runs/pretrain/", "runs/../runs/pretrain", "link"]
)
def test_another_spelling_of_a_path_is_the_same_run(
    workdir, tmp_path, monkeypatch, spelled
):
    (tmp_path / "runs" / "pretrain").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "runs" / "pretrain")
    monkeypatch.chdir(tmp_path)
    claim(workdir, PATHS)
    claim(workdir, PATHS.replace("runs/pretrain", spelled))
    monkeypatch.chdir("runs")
    elsewhere = PATHS.replace("runs/", "").replace("photos", "../photos")
    claim(workdir, elsewhere)
    with pytest.raises(UserError, match=r"data\.name: 'folder:.*/photos' there"):
        claim(workdir, elsewhere.replace("../photos", "others"))


def test_stages_may_move_together(tmp_path):
    def config(folder):
        return PATHS.replace("runs/", f"{folder}/").replace("photos", "/photos")

    for name in ("old/pretrain", "old/linear"):
        (tmp_path / name).mkdir(parents=True)
    claim(Workdir(str(tmp_path / "old" / "linear")), config(tmp_path / "old"))
    (tmp_path / "old").rename(tmp_path / "new")
    moved = Workdir(str(tmp_path / "new" / "linear"))
    claim(moved, config(tmp_path / "new"))
    assert f"'{tmp_path}/new/pretrain'" in read(moved)
    # Paths outside of the folder have not moved.
    (tmp_path / "else" / "pretrain").mkdir(parents=True)
    (tmp_path / "new" / "pretrain").rename(tmp_path / "gone")
    with pytest.raises(UserError, match=r"train\.initialize: .*new.* there, .*else"):
        claim(moved, config(tmp_path / "else"))


@pytest.mark.parametrize("path", ["", "  "])
def test_a_folder_without_a_name_is_refused(path):
    with pytest.raises(UserError, match="because a shell variable is not set"):
        Workdir(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"step": 2}'])
def test_a_damaged_result_says_how_to_get_another(workdir, text):
    claim(workdir, CONFIG)
    path = pathlib.Path(workdir.path, "result.json")
    path.write_text(text)
    with pytest.raises(UserError, match=r"result.json is damaged. Remove it, and `s"):
        workdir.result()


@pytest.mark.parametrize("text", ["", "null", "{}", '{"train": null, "steps": 2}'])
def test_a_damaged_record_of_the_data_is_named(workdir, text):
    claim(workdir, CONFIG)
    pathlib.Path(workdir.path, "data.json").write_text(text)
    with pytest.raises(UserError, match=r"data.json is damaged. Remove it if"):
        workdir.data()


def test_a_damaged_configuration_is_named(workdir):
    claim(workdir, CONFIG)
    pathlib.Path(workdir.config()).write_text("not gin")
    with pytest.raises(UserError, match=r"config.gin:1 is not gin"):
        claim(workdir, CONFIG)


RESULT = """{"step": 3, "rows": [{"protocol": "kNN", "representation": "x", "top1": 1,
  "top5": 1.0}]}"""


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe",
        b"[" * 100_000,
        b"3",
        RESULT.replace("3", '"3"', 1).encode(),
        RESULT.replace("[{", "[3, {").encode(),
        RESULT.replace("protocol", "name").encode(),
        RESULT.replace(": 1,", ": null,").encode(),
    ],
)
def test_a_damaged_result_is_one_line(workdir, tmp_path, text):
    claim(workdir, CONFIG)
    path = next(tmp_path.rglob("config.gin")).with_name("result.json")
    path.write_text(RESULT)
    assert workdir.result()["step"] == 3
    path.write_bytes(text)
    with pytest.raises(UserError, match=r"result\.json is damaged\. Remove it"):
        workdir.result()


@pytest.mark.parametrize("name", ["config.gin", "data.json"])
def test_a_file_that_is_not_text_is_damaged(workdir, tmp_path, name):
    claim(workdir, CONFIG)
    next(tmp_path.rglob("config.gin")).with_name(name).write_bytes(b"\xff\xfe\0")
    read_it = {"config.gin": workdir.read_config, "data.json": workdir.data}[name]
    with pytest.raises(UserError, match=f"{name} is damaged"):
        read_it()
