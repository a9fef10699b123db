"""The page: complete, without external files, and with the numbers of the folders."""

from __future__ import annotations

import dataclasses
import html
import json
import pathlib

import pytest
import tensorflow as tf
from page.conftest import lines, result, saved
from page.reading import read

import sslkit
from sslkit.cli.main import main
from sslkit.errors import UserError
from sslkit.page import content as gathering
from sslkit.page import page as pages
from sslkit.page import report


def quiet(folders, **options):
    return report([str(one) for one in folders], say=lambda line: None, **options)


def test_a_run_with_all_files(make, seen):
    seen()
    page = read(quiet([saved(make(measured=result()))]).html)
    for words in (
        "Report of run",
        "gin/fnc_digits_pretrain.gin",
        "Still improving",
        "tensorflow 2.21.0",
        "100 of 100 updates",
        "linear (logistic regression)",
        "90.0%",
        "taken for",
        "<b>green</b>",
        "map of colours/test",
        "nearest neighbours of random images",
    ):
        assert words in page.text
    circles = page.all("circle")
    assert len(circles) == 60
    assert {one["class"] for one in circles} == {"h0", "h1", "h2"}
    hrefs = [one["href"] for one in page.all("a")]
    assert hrefs[:3] == ["#health", "#ran", "#curves"] and "#embedding" in hrefs


def test_right_and_wrong_neighbours_differ_by_more_than_colour(look):
    row = look[True].rows[0]
    words = {near.agrees: near.picture.alt for near in row.near}
    assert "of the same class" in words[True]


def test_mistakes_match_those_of_the_classifier(look):
    found = look[True].mistakes
    assert found.wrong == sum(one.count - one.right for one in found.classes)
    assert sum(pair.there + pair.back for pair in found.pairs) == found.wrong
    certain = [one.certainty for one in found.top]
    assert certain == sorted(certain, reverse=True)
    assert all(one.taken_for != one.row.of_class for one in found.top)


def test_a_set_without_labels_has_clusters_and_no_classes(make, seen):
    seen(labelled=False)
    page = read(quiet([saved(make())]).html)
    assert "cluster 1" in page.text and "there are no labels" in page.text
    assert "taken for" not in page.text


def test_a_run_without_checkpoints_and_metrics_has_a_page(make):
    page = read(quiet([make(reports=[])]).html)
    assert "there is no checkpoint" in page.text
    assert "No run has reported a number yet" in page.text
    assert page.all("img") == []


def test_several_runs_show_only_the_settings_that_differ(make):
    for seed in (0, 1):
        measured = result(0.8 + 0.1 * seed)
        make(f"S/top5-s{seed}", seed=seed, topk=5, measured=measured)
    folder = make("S/top20", topk=20, measured=result(0.7)).parent
    page = read(quiet([folder]).html)
    assert "Report of 3 runs" in page.text and "top5 (2 seeds)" in page.text
    assert "85.0% ± 7.1" in page.text
    assert "objectives.fnc.topk 20 5" in page.text
    settings = page.text.partition("Settings that differ")[2].partition("All set")[0]
    assert "train.epochs" not in settings and "train.seed" not in settings


def test_both_effective_ranks_say_of_which_images_they_are(make):
    reports = lines([10.0 - n for n in range(10)])
    reports[4]["health/effective_rank"] = 34.85
    page = read(quiet([make(reports=reports, measured=result(rank=21.0))]).html)
    assert "21 effective rank of 64, 50 test images" in page.text
    assert "they use about 21 of 64 directions (50 test images)" in page.text
    row = "Effective rank, training images (1: collapsed) 34.85 (update 50)"
    assert row in page.text


def test_runs_of_different_data_get_a_note(make):
    found = quiet([make("a", data="digits"), make("b", data="photos")])
    assert "cannot be compared" in read(found.html).text


def test_names_and_values_are_text_and_not_markup(make):
    bad = '<script>alert("x")</script>'
    folder = make("run", lines([1.0, 2.0], **{bad: [1.0, 2.0]}), data=bad)
    page = read(quiet([folder]).html)
    assert len(page.all("script")) == 1 + len(page.all("figure"))
    assert bad in page.text


def test_a_map_that_is_too_large_is_sampled_with_a_note(make, seen, monkeypatch):
    seen()
    folder = saved(make())
    whole = len(quiet([folder]).html.encode())
    monkeypatch.setattr(pages, "MOST_BYTES", whole - 1)
    monkeypatch.setattr(pages, "_FEWEST", 10)
    page = read(quiet([folder]).html)
    assert len(page.all("circle")) == 30
    assert "the map shows 30 images instead of 60" in page.text
    monkeypatch.setattr(pages, "MOST_BYTES", 1000)
    with pytest.raises(UserError, match=r"at most 0 are allowed. Name fewer runs"):
        quiet([folder])


def test_an_encoder_that_cannot_be_opened_is_a_note(make, monkeypatch):
    def fails(record, how):
        raise UserError("the data is not there.")

    monkeypatch.setattr(gathering, "look", fails)
    page = read(quiet([saved(make())]).html)
    assert "There are no images of run: the data is not there." in page.text


def test_the_audit_of_a_run_is_shown_with_its_pictures(make):
    folder = make()
    both = {"precision": 0.5, "recall": 0.25}
    found = {
        "step": 100,
        "images": 64,
        "data": "digits/train",
        "policy": "the 10 highest",
        "own_policy": True,
        "labels": True,
        "choice": {"found_per_image": 10.0, **both},
        "chance_precision": 0.1,
        "oracle": {"precision": 1.0, "recall": 0.5},
        "by_topk": [{"topk": k, **both} for k in (1, 5)],
        "over_training": [],
        "stability": {"chosen_again": 0.7, "chosen_again_by_chance": 0.1},
        "gallery": [
            {"file": "audit_sample.png", "title": "A fair sample."},
            {"file": "audit_errors.png", "title": "Errors."},
        ],
        "notes": ["so it is"],
    }
    (folder / "audit.json").write_text(json.dumps(found))
    png = tf.io.encode_png(tf.zeros([4, 6, 3], tf.uint8)).numpy()
    (folder / "audit_sample.png").write_bytes(png)
    page = read(quiet([folder]).html)
    for words in ("50.0%", "70.0%; by chance 10.0%", "by top-k", "so it is"):
        assert words in page.text
    assert "audit_errors.png is not shown" in page.text
    (image,) = page.all("img")
    assert (image["alt"], image["width"], image["height"]) == (
        "A fair sample.",
        "6",
        "4",
    )
    found["over_training"] = [{"step": step, **both} for step in ("x", 2)]
    for damaged in ("{", json.dumps(found)):
        (folder / "audit.json").write_text(damaged)
        said = f"audit.json is damaged: `sslkit audit {folder}` writes it again"
        assert said in read(quiet([folder]).html).text


def test_a_notebook_shows_it_in_a_frame_and_markdown_has_its_numbers(make):
    page = sslkit.report(make(measured=result()))
    frame = page._repr_html_()
    assert page.html in html.unescape(frame) and 'title="Report of runs"' in frame
    text = page.markdown()
    assert "| run | 90.0% | 60.0% | 70.0% |" in text
    assert "| ran on | versions | time | views per second | memory |" in text
    said = "Time is measured from the first report to the last, without stops (9s in "
    assert said in text and said in read(page.html).text
    assert "The live line of a run counts from the start of its process" in text
    with pytest.raises(UserError, match="needs the folder of a run"):
        sslkit.report()
    with pytest.raises(
        UserError, match=r"the map is 'umap'; it must be one of pca, tsne"
    ):
        sslkit.report(page.folders[0], map="umap")


def test_a_failed_write_leaves_the_earlier_file(make, monkeypatch, tmp_path):
    page = quiet([make()])
    target = tmp_path / "report.html"
    target.write_text("before")

    def fails(self, path):
        pathlib.Path(path).write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(pages.Page, "_write", fails)
    with pytest.raises(UserError, match=r"the report .* cannot be written"):
        page.save(target)
    assert target.read_text() == "before"
    assert not list(tmp_path.glob(".partial*"))


@pytest.mark.parametrize("detail", [-1, 1.5, "2"])
def test_the_number_of_groups_with_images_is_checked(make, detail):
    with pytest.raises(UserError, match=r"detail is .*; give 0 or more"):
        sslkit.report(make(), detail=detail)


def test_a_run_named_twice_is_one_run(make, monkeypatch, tmp_path):
    folder = make("one", measured=result())
    monkeypatch.chdir(tmp_path)
    page = quiet([folder, "one", "./one"])
    assert len(page.content.runs) == 1


def test_runs_of_one_seed_get_a_note(make):
    page = quiet([make(name, measured=result(), seed=3) for name in ("a1", "a2")])
    assert "a (2 runs) has several runs of seed 3" in page.markdown()


def test_the_ending_is_the_format_in_either_case_and_others_are_refused(make, tmp_path):
    page = quiet([make(measured=result())])
    page.save(tmp_path / "a.PNG")
    assert (tmp_path / "a.PNG").read_bytes().startswith(b"\x89PNG")
    page.save(tmp_path / "a.Md")
    assert (tmp_path / "a.Md").read_text() == page.markdown()
    with pytest.raises(UserError, match=r"a\.txt does not end in \.html, \.md or"):
        page.save(tmp_path / "a.txt")
    assert not (tmp_path / "a.txt").exists()


def test_a_folder_as_the_file_is_refused_before_anything_is_read(make, capsys):
    folder = make()
    (folder / "report.html").mkdir()
    assert main(["report", str(folder)]) == 2
    said = f"--to {folder}/report.html cannot be written: it is a folder"
    assert said in capsys.readouterr().err


def test_the_command_writes_each_format(make, seen, capsys):
    seen()
    folder = saved(make(measured=result()))
    for ending in ("html", "md", "png"):
        assert main(["report", str(folder), "--format", ending]) == 0
        assert f"written: {folder}/report.{ending}, 1 run(s)" in capsys.readouterr().out
    assert (folder / "report.png").read_bytes().startswith(b"\x89PNG")
    read((folder / "report.html").read_text())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "x.pdf"], "--to x.pdf does not end in .html, .md or .png"),
        (["--to", "x.md", "--format", "png"], "--to x.md does not end in .png"),
        (["--images", "1"], "--images is 1; give 2 or more"),
        ([], ": it is empty. Name the workdir"),
    ],
)
def test_options_that_the_command_refuses(tmp_path, capsys, options, message):
    assert main(["report", str(tmp_path), *options]) == 2
    assert message in capsys.readouterr().err


def test_a_thinned_map_keeps_evenly_spaced_points(look):
    thin = look[True].thinned(10).thinned(5)
    assert (thin.shown, len(thin.faces), len(thin.map.titles)) == (5, 5, 5)
    assert [n for n in thin.notes if "the map shows" in n] == [
        "the map shows 5 images instead of 10, so that the page stays small"
    ]
    assert dataclasses.replace(thin).map.x.shape == (5,)
