"""Comparing runs, with folders that hold only the files that are read."""

from __future__ import annotations

import argparse
import csv
import io
import json
import shlex

import pytest

import sslkit
from sslkit.cli import sweep
from sslkit.cli.main import main
from sslkit.errors import UserError

KNN = "kNN (k=20, T=0.07)"
LINEAR = "linear (logistic regression on frozen features)"


@pytest.fixture
def run(tmp_path):
    """Makes the files of a run's folder that a comparison reads."""

    def make(
        name, *bindings, seed=0, knn=None, step=30, data=None, metrics=None, tested=360
    ):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        bound = {
            "train.objective": "@objectives.supervised",
            "train.steps": "30",
            "train.seed": str(seed),
            **dict(text.split(" = ") for text in bindings),
        }
        lines = [f"{key} = {value}" for key, value in bound.items()]
        (folder / "config.gin").write_text("\n".join(lines) + "\n")
        known = {"name": "digits/train", "size": 1437, **(data or {})}
        (folder / "data.json").write_text(json.dumps({"train": known, "steps": 30}))
        line = {"step": step, "time": 1.0, "loss": 2.0, **(metrics or {})}
        (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
        if knn is not None:
            rows = [
                {
                    "protocol": protocol,
                    "representation": who,
                    "top1": top1,
                    "top5": 1.0,
                    "n_test": tested,
                }
                for protocol, who, top1 in (
                    (KNN, "trained encoder", knn),
                    (LINEAR, "trained encoder", knn + 0.01),
                    (KNN, "raw pixels", 0.5),
                )
            ]
            health = {"trained encoder": {"effective_rank": 30.0}}
            result = {"step": step, "rows": rows, "health": health}
            (folder / "result.json").write_text(json.dumps(result))
        return str(folder)

    return make


@pytest.fixture
def two(run, tmp_path):
    """Two batch sizes, eight seeds each, in one folder."""
    for seed in range(8):
        noise = 0.01 * ((seed * 5) % 8)
        run(f"S/a{seed}", "train.batch_size = 64", seed=seed, knn=0.80 + noise)
        gain = 0.02 + 0.001 * (seed % 3)
        run(f"S/b{seed}", "train.batch_size = 128", seed=seed, knn=0.80 + noise + gain)
    return str(tmp_path / "S")


def test_runs_are_grouped_without_the_seed_and_paired_by_it(two):
    found = sslkit.compare(two)
    a, b = found.groups
    assert dict(a.values) == {"train.batch_size": "64"}
    assert dict(b.values) == {"train.batch_size": "128"}
    assert [run.seed for run in a.runs] == [str(seed) for seed in range(8)]
    assert found.means(b)[KNN].mean == pytest.approx(0.835 + 0.02 + 7 / 8 * 0.001)
    gap = found.differences(b)[KNN]
    assert (gap.n, gap.paired, gap.verdict) == (8, True, "higher")
    assert gap.p == 2 / 2**8
    text = str(found)
    assert "B  batch_size = 128" in text
    assert "raw pixels (all runs)" in text
    assert "+2.09 points" in text
    # Notebooks get the same, with nothing that a page would take for its own.
    assert "<td>+2.09 points</td>" in found._repr_html_()
    other = sslkit.compare(two, against="b")
    assert other.differences(other.groups[0])[KNN].verdict == "lower"


def test_the_command_prints_and_writes(two, tmp_path, capsys):
    files = [str(tmp_path / "new" / f"c.{form}") for form in ("csv", "json")]
    assert main(["compare", two, "--csv", files[0], "--json", files[1]]) == 0
    out = capsys.readouterr().out
    assert "Configurations" in out and "train.batch_size" in out
    with open(files[0], encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16
    assert rows[0] | {"path": ""} == {
        "group": "A",
        "path": "",
        "train.batch_size": "64",
        "train.seed": "0",
        "step": "30",
        KNN: "0.8",
        LINEAR: "0.81",
        "effective rank": "30.0",
    }
    with open(files[1], encoding="utf-8") as file:
        kept = json.load(file)
    assert kept["groups"][1]["differences"][KNN]["verdict"] == "higher"
    assert kept["groups"][1]["means"][KNN]["n"] == 8
    assert main(["compare", two, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == kept
    assert main(["compare", two, "--csv", "-"]) == 0
    assert len(list(csv.reader(io.StringIO(capsys.readouterr().out)))) == 17


def notes(*folders, **options):
    return "\n".join(sslkit.compare(*folders, **options).notes)


def test_what_few_runs_cannot_show_is_noted(run):
    folders = [
        run("a0", seed=0, knn=0.8),
        run("b0", "train.batch_size = 2", seed=0, knn=0.9),
    ]
    assert "with one run of each nothing can be concluded" in notes(*folders)
    folders += [
        run("a1", seed=1, knn=0.82),
        run("b1", "train.batch_size = 2", seed=1, knn=0.9),
    ]
    said = notes(*folders)
    assert "with 2 pairs an interval is right only if" in said
    assert "sign-flip test cannot give p below 0.5" in said
    assert "3 comparisons are shown" in said
    assert "same configuration: the table shows its spread" in notes(*folders[::2])


def test_the_commands_of_a_note_add_seeds(run):
    # A folder whose name a shell would divide.
    folders = [run("my a", knn=0.8), run("b", "train.batch_size = 2", knn=0.9)]
    (line,) = [n for n in sslkit.compare(*folders).notes if "sslkit sweep" in n]
    first, second, last = (
        shlex.split(command)[1:] for command in line.split("`")[1::2]
    )
    assert first[first.index("--gin") + 1] == f"{folders[0]}/config.gin"
    assert second[second.index("--gin") + 1] == f"{folders[1]}/config.gin"
    assert last == ["compare", "SEEDS_A", "SEEDS_B"]
    # The command is complete: nothing that it requires is missing.
    parser = argparse.ArgumentParser()
    sweep.add_arguments(parser)
    parsed = parser.parse_args(second[1:])
    assert (parsed.over, parsed.workdir) == (["train.seed = 0..7"], "SEEDS_B")


def test_the_number_of_test_images_is_shown_once(run):
    folders = [run("a", knn=0.8), run("b", "train.batch_size = 2", knn=0.9)]
    text = str(sslkit.compare(*folders))
    assert text.count("Results on 360 test images: mean ± standard deviation") == 1
    assert text.count("test images") == 1
    other = run("c", "train.batch_size = 3", knn=0.9, tested=1000)
    assert "Results on 360 to 1,000 test images" in str(sslkit.compare(*folders, other))


def test_runs_of_different_data_are_separate_with_a_note(run):
    here = run("a", knn=0.8)
    moved = run("b", knn=0.8, seed=1, data={"name": "elsewhere/train"})
    other = run("c", knn=0.8, seed=2, data={"size": 99})
    found = sslkit.compare(here, moved, other)
    assert [len(group.runs) for group in found.groups] == [2, 1]
    assert "the runs have different data, so their accuracies cannot" in str(found)
    assert "A: size 1437; B: size 99" in "\n".join(found.notes)


def test_a_default_equals_a_binding_of_the_same_value(run):
    bound = run("a", "evaluate.linear = True", knn=0.8)
    left_out = run("b", knn=0.8, seed=1)
    other = run("c", "evaluate.linear = False", knn=0.8)
    found = sslkit.compare(bound, left_out, other)
    assert [len(group.runs) for group in found.groups] == [2, 1]
    assert dict(found.groups[0].values) == {"evaluate.linear": "True"}


def test_settings_that_do_not_change_results_do_not_separate_groups(run):
    folders = [
        run("a", "train.log_every = 5", knn=0.8),
        run("b", "train.log_every = 6", seed=1, knn=0.8),
    ]
    assert len(sslkit.compare(*folders).groups) == 1
    assert (
        "they also differ in settings that do not change results: train.log_every"
        in notes(*folders)
    )


def test_starts_from_runs_of_one_configuration_count_as_equal(run):
    folders = []
    for seed in range(2):
        start = run(f"pretrain{seed}", seed=seed)
        bound = f"train.initialize = '{start}'"
        folders.append(run(f"linear{seed}", bound, seed=seed, knn=0.8))
    assert len(sslkit.compare(*folders).groups) == 1
    other = run("other", "train.batch_size = 7")
    folders.append(run("linear2", f"train.initialize = '{other}'", seed=2, knn=0.8))
    assert len(sslkit.compare(*folders).groups) == 2


def test_runs_without_results_or_measured_early_are_named(run):
    done = run("done", knn=0.8)
    going = run("going", seed=1, step=10)
    early = run("early", seed=2, step=20, knn=0.7)
    said = notes(done, going, early, metrics=["loss", "speed"])
    assert f"{going}: no results yet (stopped, step 10 of 30)" in said
    assert f"{early}: evaluated at step 20 of 30, not at its end (stopped)" in said
    assert f"{done}: it has no metric 'speed'; its metrics: loss" in said
    found = sslkit.compare(done, going, metrics=["loss"])
    assert found.groups[0].of("loss") == {"0": 2.0, "1": 2.0}
    assert found.groups[0].of(KNN) == {"0": 0.8}


def change(folder, file, edit):
    path = f"{folder}/{file}"
    with open(path) as opened:
        found = json.load(opened)
    edit(found)
    with open(path, "w") as opened:
        json.dump(found, opened)


def test_numbers_that_are_not_finite_are_left_out_and_named(run):
    whole = run("whole", knn=0.8)
    lost = run("lost", seed=1, knn=0.9, metrics={"loss": None})

    def edit(result):
        result["rows"][0]["top1"] = float("nan")
        result["health"]["trained encoder"]["effective_rank"] = float("nan")

    change(lost, "result.json", edit)
    found = sslkit.compare(whole, lost, metrics="loss")
    (group,) = found.groups
    assert group.of(KNN) == {"0": 0.8}
    assert group.of(LINEAR) == {"0": pytest.approx(0.81), "1": pytest.approx(0.91)}
    assert group.of("effective rank") == {"0": 30.0}
    said = "\n".join(found.notes)
    assert f"{lost}: {KNN}, trained encoder, is not finite" in said
    assert f"{lost}: effective rank is not finite and is left out" in said
    assert f"{lost}: its last loss is not finite and is left out" in said


def test_an_evaluation_is_compared_by_its_first_number(run):
    folders = [run("a", knn=0.8), run("b", "train.batch_size = 2", knn=0.9)]
    for folder, value in zip(folders, (3.5, 4.0), strict=True):

        def edit(result, value=value):
            for row in result["rows"][::2]:
                del row["top1"], row["top5"]
                row |= {"distance": value, "other": 1.0}

        change(folder, "result.json", edit)
    found = sslkit.compare(*folders)
    name = f"{KNN} distance"
    assert found.differences(found.groups[1])[name].mean == 0.5
    # It is not an accuracy, so it is not in percent.
    assert found.protocols == {LINEAR}
    assert "+0.5 " in str(found)


@pytest.mark.parametrize("damage", ["{", "[1]", '{"step": "x", "rows": []}'])
def test_a_damaged_result_is_named(run, damage):
    folders = [run("a", knn=0.8), run("b", seed=1, knn=0.9)]
    with open(f"{folders[1]}/result.json", "w") as file:
        file.write(damage)
    said = notes(*folders)
    again = f"`sslkit evaluate --workdir {folders[1]}` writes it again"
    assert f"{folders[1]}: result.json is damaged: {again}" in said
    assert "no results yet" not in said


def test_other_test_data_is_named(run):
    folders = [run("a", knn=0.8), run("b", seed=1, knn=0.9)]
    for folder, size in zip(folders, (360, 99), strict=True):
        test = {"name": "digits/test", "size": size}
        change(folder, "data.json", lambda data, test=test: data.update(test=test))
    said = notes(*folders)
    assert "measured on different test data" in said
    assert f"size 99 (e.g. {folders[1]})" in said


def test_equal_differences_have_no_interval(run):
    folders = [
        run(f"{name}{seed}", f"train.batch_size = {size}", seed=seed, knn=value)
        for name, size, value in (("a", 1, 0.7), ("b", 2, 0.8))
        for seed in range(2)
    ]
    found = sslkit.compare(*folders)
    one = found.differences(found.groups[1])[KNN]
    assert (one.interval, one.verdict) == (None, "cannot tell")
    said = "\n".join(found.notes)
    assert "there is no interval where all differences are the same" in said
    assert "with one run of each" not in said


def test_two_runs_of_one_seed_count_once(run):
    folders = [run("a", knn=0.8), run("b", knn=0.9)]
    found = sslkit.compare(*folders)
    assert found.means(found.groups[0])[KNN] == (
        type(found.means(found.groups[0])[KNN])(pytest.approx(0.85), None, 1)
    )
    assert "A has several runs of seed 0: their mean counts as one" in "\n".join(
        found.notes
    )


def test_stages_are_chosen(run, tmp_path):
    for seed in range(2):
        run(f"S/seed={seed}/pretrain", seed=seed, knn=0.8)
        run(f"S/seed={seed}/linear", seed=seed, knn=0.9)
    folder = str(tmp_path / "S")
    with pytest.raises(UserError, match=r"several stages. Choose one with --stage: "):
        sslkit.compare(folder)
    found = sslkit.compare(folder, stage="linear")
    assert found.groups[0].of(KNN) == {"0": 0.9, "1": 0.9}
    with pytest.raises(UserError, match="Stages: linear, pretrain"):
        sslkit.compare(folder, stage="linaer")


def test_refusals(run, tmp_path, capsys):
    one = run("one", knn=0.8)
    empty = tmp_path / "empty"
    empty.mkdir()
    for words, message in (
        ([one], f"{one} is a single run; name two or more"),
        ([one, one], f"{one} is a single run"),
        ([one, str(tmp_path / "none")], f"the folder {tmp_path}/none does not exist"),
        ([one, str(empty)], f"{empty} does not hold a run: there is no config.gin"),
        (
            [one, one, "--stage", "x"],
            "--stage is 'x', but there is no run of it. These runs",
        ),
        ([one, ""], "the workdir is ''"),
        ([one, "--csv", "-", "--json", "-"], "--csv and --json cannot both be -"),
        ([one, "--csv", "c", "--json", "c"], "--csv and --json are both c. Give each"),
        ([one, "--csv", one], f"--csv {one} cannot be written: it is a folder"),
        ([one, "--csv", f"{one}/config.gin/c"], "cannot be written"),
    ):
        assert main(["compare", *words]) == 2
        err = capsys.readouterr().err
        assert message in err and err.count("\n") == 1
    with pytest.raises(UserError, match="needs folders of runs"):
        sslkit.compare()
    two = run("two", knn=0.8, seed=1)
    assert main(["compare", one, two, "--against", "Z"]) == 2
    assert (
        "--against is 'Z'; it must be one of the groups A." in capsys.readouterr().err
    )
