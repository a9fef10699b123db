"""Remarks about runs and groups of runs, from their files."""

from __future__ import annotations

import math

import pytest
from page.conftest import lines, result

from sslkit.errors import UserError
from sslkit.page.groups import course, differing, grouped, over_seeds
from sslkit.page.record import read_record
from sslkit.page.remarks import remarks

FALLING = [10.0 - n for n in range(10)]
SETTLED = [10.0, 5.0, 2.0, 1.1, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]


def said(folder) -> dict[str, str]:
    """Returns text -> tone."""
    return {one.text: one.tone for one in remarks(read_record(str(folder)))}


def one(found, words) -> str:
    """Returns the tone of the one remark that has some words."""
    (tone,) = [tone for text, tone in found.items() if words in text]
    return tone


@pytest.mark.parametrize(
    ("losses", "words", "tone"),
    [
        (
            FALLING,
            "Still improving: over the last fifth of the run the loss fell by 2",
            "note",
        ),
        (SETTLED, "Settled: over the last fifth", "good"),
        ([1.0] * 10, "as high as at the beginning, or higher", "bad"),
        ([*SETTLED[:8], 2.0, 3.0], "The loss rises again: by 2 over the", "note"),
    ],
)
def test_whether_the_loss_still_improves(make, losses, words, tone):
    assert one(said(make(reports=lines(losses))), words) == tone


@pytest.mark.parametrize(
    ("bound", "name"),
    [
        ("", "train.epochs"),
        ("train.steps = 100", "train.steps"),
        ("train.steps = None", "train.epochs"),
    ],
)
def test_advice_names_the_setting_that_determines_the_length(make, bound, name):
    folder = make()
    with (folder / "config.gin").open("a") as file:
        file.write(bound)
    advice = [one.advice for one in remarks(read_record(str(folder)))]
    words = f"with a larger {name} and --extend continues from step 100"
    assert len([one for one in advice if words in one]) == 1


def test_a_few_reports_are_not_a_trend(make):
    found = said(make(reports=lines([3.0, 2.0, 1.0])))
    assert not any("fifth" in text for text in found)


def test_collapse_is_the_first_remark_and_has_advice(make):
    run = read_record(str(make(measured=result(rank=1.0))))
    first = remarks(run)[0]
    assert first.tone == "bad"
    assert first.text == "The features have collapsed onto one line."
    assert "lower the learning rate" in first.advice
    assert not any("not collapsed" in text for text in said(run.path))


def test_an_encoder_without_collapse_is_good(make):
    found = said(make(measured=result(rank=30.0)))
    assert (
        one(found, "The features have not collapsed: they use about 30 of 64") == "good"
    )
    assert one(found, "It has learned: linear 90.0%") == "good"


def test_without_an_evaluation_the_rank_is_that_of_training_images(make):
    reports = lines(FALLING)
    reports[4]["health/effective_rank"] = 34.85
    words = "they use about 35 directions (training images, at step 50)"
    assert one(said(make(reports=reports)), words) == "good"


@pytest.mark.parametrize(
    ("accuracies", "tested", "tone", "words"),
    [
        # 66 images: two standard errors are 12 points.
        (
            (29, 36, 39),
            66,
            "bad",
            "worse than an untrained encoder (54.5%, 10.6 points more) and raw pixels "
            "(59.1%, 15.2 points more): 43.9%. With 66 test images, the difference to "
            "an untrained encoder is within the noise, which is about 12 points.",
        ),
        (
            (41, 36, 39),
            66,
            "note",
            "not clearly better than an untrained encoder (54.5%, 7.6 points less) and "
            "raw pixels (59.1%, 3.0 points less): 62.1%. With 66 test images, the "
            "difference to an untrained encoder and raw pixels is within the noise, "
            "which is about 12 points.",
        ),
        (
            (33, 33, 10),
            66,
            "note",
            "not clearly better than an untrained encoder (50.0%, the same): 50.0%",
        ),
        # The same shares of a hundred times as many images are another matter.
        ((4100, 3600, 3900), 6600, "good", "untrained encoder 54.5%, raw pixels 59.1%"),
        (
            (4000, 3600, 3900),
            6600,
            "note",
            "hardly better than raw pixels (59.1%, 1.5 points less): 60.6%",
        ),
        ((3850, 3600, 3900), 6600, "note", "not clearly better than raw pixels"),
        ((3700, 3600, 3900), 6600, "bad", "worse than raw pixels (59.1%, 3.0 points"),
    ],
)
def test_accuracies_are_compared_with_regard_to_the_number_of_images(
    make, accuracies, tested, tone, words
):
    ours, untrained, pixels = (count / tested for count in accuracies)
    measured = result(ours, untrained=untrained, pixels=pixels, tested=tested)
    assert one(said(make(measured=measured)), words) == tone


@pytest.mark.parametrize(
    ("waited", "words", "tone"),
    [
        (0.5, "The data is too slow: 56% of the time was spent", "note"),
        (0.001, "The data is fast enough: 0.1%", "good"),
    ],
)
def test_whether_the_data_is_too_slow(make, waited, words, tone):
    # Ten reports, nine seconds between the first and the last.
    assert one(said(make(reports=lines(FALLING, waited=waited))), words) == tone


def test_a_stop_does_not_count_as_training_time(make):
    reports = lines(FALLING)
    for late in reports[5:]:
        late["time"] += 10_000
    assert read_record(str(make(reports=reports))).seconds == 8


def test_values_that_are_not_finite_are_reported(make):
    reports = lines(FALLING, gradient_norm=[1.0] * 8 + [None, None])
    folder = make(reports=reports)
    assert one(said(folder), "not finite: gradient_norm (2 times)") == "bad"
    assert len(read_record(str(folder)).series["gradient_norm"].values) == 8


def test_a_fall_of_knn_is_reported(make):
    reports = lines(FALLING, knn_top1=[0.5, 0.6, 0.7, 0.9, *[0.8] * 6])
    words = "kNN was best at step 40 (90.0%) and is 80.0% now, on 400 test images"
    assert one(said(make(reports=reports)), words) == "bad"


@pytest.mark.parametrize(
    ("reports", "measured"),
    [
        (lines(FALLING, knn_top1=[0.5, 0.6, 0.7, 0.9, *[0.8] * 6]), None),
        (lines(FALLING, gradient_norm=[1.0] * 9 + [None]), None),
        (lines(FALLING), result(rank=1.0)),
    ],
)
def test_training_on_is_not_advised_if_something_is_wrong(make, reports, measured):
    found = remarks(read_record(str(make(reports=reports, measured=measured))))
    assert any(one.tone == "bad" and one.advice for one in found)
    (improving,) = [one for one in found if "Still improving" in one.text]
    assert improving.advice == ""


def test_the_last_step_with_the_best_knn_is_named(make):
    reports = lines(FALLING, knn_top1=[0.9, 0.9, *[0.8] * 8])
    words = "kNN was best at step 20"
    assert one(said(make(reports=reports)), words) == "bad"


@pytest.mark.parametrize(("tested", "fallen"), [(66, False), (5000, True)])
def test_a_fall_of_knn_within_the_noise_is_not_reported(make, tested, fallen):
    # Three of 66 images. Of 5,000 it scores 1,000, for which noise is 3.1 points.
    reports = lines(FALLING, knn_top1=[39 / 66, 39 / 66, *[36 / 66] * 8])
    found = said(make(reports=reports, tested=tested))
    told = [text for text in found if "kNN" in text]
    assert len(told) == fallen
    assert not fallen or "on 1,000 test images" in told[0]


def test_without_the_test_split_the_evaluation_has_the_number_of_images(make):
    folder = make(measured=result(tested=66))
    (folder / "data.json").write_text("{}")
    assert read_record(str(folder)).probed == 66
    (folder / "result.json").unlink()
    assert read_record(str(folder)).probed is None


def test_a_run_that_is_not_finished(make):
    assert one(said(make(steps=400)), "Not finished: 100 of 400 updates") == "note"


def test_missing_or_damaged_files_are_notes_and_not_errors(make):
    folder = make(reports=[])
    (folder / "result.json").write_text("{")
    (folder / "config.gin").write_text("a = = 1")
    (folder / "facts.json").write_text("[1]")
    run = read_record(str(folder))
    assert [note.partition(":")[0] for note in run.notes] == [
        "config.gin is damaged",
        "there are no metrics",
        "there is no checkpoint",
        "result.json is damaged",
    ]
    assert (run.seconds, run.speed, run.waited, run.facts) == (None, None, None, {})
    assert remarks(run)


@pytest.mark.parametrize("top1", [None, float("nan")])
def test_a_row_without_an_accuracy_is_a_note_and_the_others_are_shown(make, top1):
    measured = result()
    count = len(measured["rows"])
    row = measured["rows"][0]
    del row["top1"], row["top5"]
    row |= {"distance": 0.25} if top1 is None else {"top1": top1}
    run = read_record(str(make(measured=measured)))
    assert len(run.result["rows"]) == count - 1
    number = "distance 0.25" if top1 is None else "top1 nan"
    said = f"kNN (k=20, T=0.07), trained encoder, is not in the tables: {number}"
    assert said in run.notes
    assert remarks(run)


def test_health_that_is_not_finite_or_no_number_is_left_out(make):
    measured = result(rank=float("nan"))
    measured["health"] |= {"raw pixels": 3}
    run = read_record(str(make(measured=measured)))
    assert "effective_rank" not in run.result["health"]["trained encoder"]
    assert run.result["health"]["raw pixels"] == {}
    assert remarks(run)


def test_accuracies_of_an_earlier_checkpoint_are_named(make):
    folder = make(measured=result(), steps=300)
    said = "accuracies are of step 100, and not of the end at 300; `sslkit evaluate"
    assert any(note.startswith(said) for note in read_record(str(folder)).notes)


def test_of_several_reports_of_a_step_the_last_counts(make):
    # Two processes wrote into one file, or it was put together by hand.
    reports = lines([4.0, 3.0, 2.0]) + lines([9.0, 8.0])[1:]
    loss = read_record(str(make(reports=reports))).series["loss"]
    assert (loss.steps, loss.values) == ((10, 20, 30), (4.0, 8.0, 2.0))


def test_runs_of_one_seed_are_not_called_seeds(make):
    runs = [read_record(str(make(name, seed=3))) for name in ("a1", "a2")]
    (group,) = grouped(runs)
    assert (group.title, group.repeated) == ("a (2 runs)", ["3"])


def test_a_folder_without_a_run_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        UserError, match=r"cannot make a report of .*: it is empty\. Name"
    ):
        read_record(str(tmp_path / "empty"))


def test_seeds_are_one_group_and_other_settings_another(make):
    runs = [
        read_record(str(make(f"top{topk}-seed{seed}", topk=topk, seed=seed)))
        for topk in (5, 10)
        for seed in (0, 1)
    ]
    found = grouped(runs)
    assert [group.title for group in found] == ["top5 (2 seeds)", "top10 (2 seeds)"]
    assert [group.hue for group in found] == [0, 1]
    assert differing(runs) == {
        "objectives.fnc.topk": ["5", "5", "10", "10"],
        "train.seed": ["0", "1", "0", "1"],
    }


def test_runs_of_other_data_are_another_group(make):
    runs = [read_record(str(make(name, data=name))) for name in ("a", "b")]
    assert len(grouped(runs)) == 2


def test_a_group_is_drawn_only_at_steps_that_all_its_runs_have(make):
    long = make("a", lines([4.0, 3.0, 2.0]), seed=0)
    short = make("b", lines([2.0, 1.0]), seed=1)
    (group,) = grouped([read_record(str(one)) for one in (long, short)])
    assert course(group, "loss") == [(10, 3.0, 2.0, 4.0), (20, 2.0, 1.0, 3.0)]


def test_spread_is_the_standard_deviation_of_the_sample():
    found = over_seeds([0.8, 0.9])
    assert found is not None and found.deviation is not None
    assert (found.mean, found.count) == (pytest.approx(0.85), 2)
    assert found.deviation == pytest.approx(0.1 / math.sqrt(2))
    assert over_seeds([0.8]).deviation is None
    assert over_seeds([]) is None
