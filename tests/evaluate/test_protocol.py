import io
import json
import types

import keras
import numpy as np
import pytest
import rich.console

from sslkit import runs
from sslkit.checkpoints import Keep
from sslkit.errors import UserError
from sslkit.evaluate.probe import KnnProbe
from sslkit.evaluate.protocol import evaluate


def test_labelled_results_name_every_protocol(results):
    knn, linear = (
        "kNN (k=20, T=0.07)",
        "linear (logistic regression on frozen features)",
    )
    assert [(row.protocol, row.representation) for row in results.rows] == [
        (knn, "trained encoder"),
        (linear, "trained encoder"),
        (knn, "untrained encoder"),
        (linear, "untrained encoder"),
        (knn, "raw pixels"),
        (linear, "raw pixels"),
        ("classifier (the objective's own head)", "trained encoder"),
    ]
    # Colours are classes with a wide margin, so every protocol works.
    assert all(row.numbers["top1"] > 0.9 for row in results.rows)
    assert {row.n_test for row in results.rows} == {40}
    assert [row.n_train for row in results.rows] == [90] * 6 + [0]
    assert set(results.health) == {"trained encoder", "untrained encoder"}
    assert results.health_split == "test"


def test_results_are_json_and_a_table(results):
    again = json.loads(json.dumps(results.to_json()))
    assert again["rows"][0]["top1"] == results.rows[0].numbers["top1"]
    assert again["health"]["trained encoder"]["dim"] == 6

    console = rich.console.Console(file=io.StringIO(), width=160)
    console.print(results.render())
    text = console.file.getvalue()
    heads = ("top-1 %", "trained is ahead by", "RankMe")
    for word in ("kNN (k=20, T=0.07)", "raw pixels", *heads):
        assert word in text
    assert "top-5" not in text  # of three classes
    margin = results.margin(results.rows[2])
    assert margin == results.rows[0].numbers["top1"] - results.rows[2].numbers["top1"]
    (line,) = (
        line for line in text.splitlines() if "raw pixels" in line and "L2" not in line
    )
    assert f"{100 * results.margin(results.rows[4]):+.2f}" in line


def test_choices_are_followed(encoder, untrained, colours, judged):
    results = evaluate(
        judged(encoder),
        colours,
        size=8,
        seed=0,
        untrained=untrained,
        knn_neighbours=(50, 60),
        knn_temperature=0.5,
        linear=False,
        baselines=False,
        batch_size=7,
        train_limit=30,
        test_limit=10,
    ).measure()
    (row,) = results.rows
    assert row.protocol == "kNN (k=30, clipped from 50, T=0.5)"
    assert (row.n_train, row.n_test) == (30, 10)
    assert results.margin(row) is None


@pytest.mark.slow
def test_each_number_of_neighbours_that_the_bank_has_is_a_row(encoder, colours, judged):
    settings = {"size": 8, "seed": 0, "linear": False, "baselines": False}
    results = evaluate(
        judged(encoder), colours, knn_neighbours=(5, 91, 50), **settings
    ).measure()
    assert [row.protocol for row in results.rows] == [
        "kNN (k=5, T=0.07)",
        "kNN (k=50, T=0.07)",
    ]
    for row in results.rows:
        number = int(row.protocol[7:].partition(",")[0])
        (alone,) = (
            evaluate(judged(encoder), colours, knn_neighbours=[number], **settings)
            .measure()
            .rows
        )
        assert alone == row


def test_no_untrained_encoder_leaves_that_baseline_out(encoder, colours, judged):
    results = evaluate(judged(encoder), colours, size=8, seed=0, linear=False).measure()
    names = [row.representation for row in results.rows]
    assert names == ["trained encoder", "raw pixels"]


def test_raw_pixels_are_at_most_32_wide(encoder, colours, judged):
    settings = {"seed": 0, "linear": False, "train_limit": 20, "test_limit": 5}
    results = evaluate(judged(encoder), colours, size=40, **settings).measure()
    assert results.rows[1].representation == "raw pixels"
    assert results.rows[1].numbers["top1"] > 0.5


def test_unlabelled_data_gives_health_and_says_why(
    encoder, untrained, unlabelled, judged
):
    results = evaluate(
        judged(encoder), unlabelled, size=8, seed=0, untrained=untrained
    ).measure()
    assert results.rows == ()
    assert results.health_split == "train"
    assert results.notes == (
        "the data has no labels, so no accuracy is measured, only the health of the "
        "features",
        "in colours, 0 of 90 examples have a label",
        "to use another split that has labels, set evaluate.bank = 'SPLIT'",
        "there is no test split, so health is that of training images",
    )
    assert set(results.health) == {"trained encoder", "untrained encoder"}
    assert results.health["trained encoder"].examples == 90
    console = rich.console.Console(file=io.StringIO(), width=160)
    console.print(results.render())
    assert "note: the data has no labels" in console.file.getvalue()


def test_labelled_data_without_a_test_split_is_an_error(encoder, colours, judged):
    del colours.splits["test"]
    with pytest.raises(UserError, match="no test split"):
        evaluate(judged(encoder), colours, size=8, seed=0).measure()


def test_more_classes_than_the_head_is_an_error(encoder, colours, judged):
    with pytest.raises(UserError, match="has 3 classes and the classifier 2"):
        evaluate(judged(encoder, classes=2), colours, size=8, seed=0).measure()


def test_probe_follows_the_encoder_and_is_traced_once(encoder, colours):
    traces = []

    def encode(images):
        traces.append(1)
        return encoder(images, training=False)

    probe = KnnProbe(encode, colours, size=8, bank=60, queries=40, batch_size=20)
    alive = probe()
    assert alive > 0.9
    assert probe.protocol == "kNN (k=20, T=0.07), 40 images, bank 60"
    for variable in encoder.variables:
        variable.assign(keras.ops.zeros_like(variable))
    assert probe() < 0.6
    assert len(traces) == 1


def test_the_probe_says_before_it_runs_that_there_are_no_labels(
    encoder, unlabelled, colours
):
    def probe(data, **options):
        return KnnProbe(lambda x: encoder(x, training=False), data, size=8, **options)

    unlabelled.splits["test"] = unlabelled.splits["train"]
    assert probe(unlabelled).unlabelled().why == "the data has no labels"
    unlabelled.splits |= {
        "test": colours.splits["test"],
        "few": colours.splits["train"],
    }
    assert probe(unlabelled).unlabelled().why == "the data has no labels"
    other = probe(unlabelled, bank_split="few")
    assert other.unlabelled() is None
    assert other() > 0.9


def test_knn_during_training_is_off_without_labels(encoder, unlabelled, judged):
    planned = evaluate(judged(encoder), unlabelled, size=8, seed=0)
    training = types.SimpleNamespace(knn_every=10, keep=Keep(3, None, None))
    said = []
    assert runs.measures(training, planned, said.append) == []
    assert said == [
        "kNN during training is off, because the data has no labels (see evaluate.bank)"
    ]


def test_an_unlabelled_training_split_may_have_a_labelled_bank(
    encoder, untrained, unlabelled, colours, judged, results
):
    settings = {"size": 8, "seed": 0, "untrained": untrained}
    unlabelled.splits |= {
        "test": colours.splits["test"],
        "few": colours.splits["train"],
    }
    everything = judged(encoder, classes=3)
    beside = evaluate(everything, unlabelled, bank="few", **settings)
    assert beside.check() is None
    assert beside.measure() == results
    assert evaluate(judged(encoder), unlabelled, **settings).measure().rows == ()


@pytest.mark.parametrize(
    ("bank", "said"),
    [
        ("plain", r"evaluate\.bank is 'plain', and colours has no labels \(0 of 90"),
        ("test", "is the split that is scored: each image would find itself"),
        ("other", "there is no other split"),
    ],
)
def test_a_bank_that_is_of_no_use_is_refused_before_the_run(
    encoder, unlabelled, colours, judged, bank, said
):
    colours.splits["plain"] = unlabelled.splits["train"]
    with pytest.raises(UserError, match=said):
        evaluate(judged(encoder), colours, size=8, seed=0, bank=bank).check()


def test_a_scored_split_without_labels_is_said_before_the_run(
    encoder, unlabelled, colours, judged
):
    colours.splits["test"] = unlabelled.splits["train"]
    planned = evaluate(judged(encoder), colours, size=8, seed=0)
    assert planned.check().why == "the scored split has no labels"
    assert planned.check().lines("no accuracies will be measured") == [
        "no accuracies will be measured, because the scored split has no labels:",
        "  in colours, 0 of 90 examples have a label",
        "  to use another split that has labels, set data.test = 'SPLIT'",
    ]
    results = planned.measure()
    assert results.rows == ()
    assert results.health_split == "test"


def test_examples_without_a_label_are_left_out_of_accuracies(
    encoder, untrained, colours, judged
):
    """As if they were not there, except for the health of the features."""
    settings = {"size": 8, "seed": 0, "untrained": untrained, "linear": False}
    random = np.random.default_rng(3)
    missing = {}
    for name, source in colours.splits.items():
        missing[name] = random.permutation(source.size)[: source.size // 3]
        source.numbers[missing[name]] = -1
    found = evaluate(judged(encoder, classes=3), colours, **settings).measure()
    assert found.notes == (
        "30 of 90 examples of colours have no label and are left out of accuracies",
        "13 of 40 examples of colours have no label and are left out of accuracies",
    )
    assert [row.n_train for row in found.rows] == [60] * 3 + [0]
    assert {row.n_test for row in found.rows} == {27}
    assert found.health["trained encoder"].examples == 40
    for name, source in colours.splits.items():
        kept = np.setdiff1d(np.arange(source.size), missing[name])
        source.images, source.numbers = source.images[kept], source.numbers[kept]
        source.size = len(kept)
    without = evaluate(judged(encoder, classes=3), colours, **settings).measure()
    assert found.rows == without.rows
