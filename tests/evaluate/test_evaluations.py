"""Evaluations that a recipe names, from third parties, too, and what is refused."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import rich.console

from sslkit import config
from sslkit.api import Evaluation, Score, accuracy
from sslkit.errors import UserError
from sslkit.evaluate.knn import KNN
from sslkit.evaluate.linear import Linear
from sslkit.evaluate.logits import Logits
from sslkit.evaluate.protocol import evaluate
from sslkit.evaluate.results import Results
from sslkit.reporters.accuracies import accuracies


class Retrieval(Evaluation):
    """The share of test images whose nearest neighbour is of their class."""

    def __init__(self, protocol="retrieval", **numbers):
        self.protocol, self.numbers = protocol, numbers

    def measure(self, bank, test, *, classes, seed):
        near = np.linalg.norm(test.features[:, None] - bank.features, axis=-1)
        found = bank.label[np.argmin(near, axis=1)] == test.label
        numbers = {"recall@1": found.mean(), **self.numbers}
        return [Score(self.protocol, numbers, len(bank.label), len(test.label))]


class Calibration(Evaluation):
    reads = "logits"

    def measure(self, bank, test, *, classes, seed):
        assert not len(bank.label)
        assert test.features.shape == (len(test.label), classes)
        found = accuracy(test.features, test.label).top1
        return [Score("calibration", {"error": 1 - found}, 0, len(test.label))]


class Misspelt(Retrieval):
    reads = "feature"


class Returning(Evaluation):
    def __init__(self, found):
        self.found = found

    def measure(self, bank, test, *, classes, seed):
        return self.found


class Raising(Evaluation):
    def __init__(self, error):
        self.error = error

    def measure(self, bank, test, *, classes, seed):
        raise self.error


def test_a_third_partys_evaluation_is_reported_with_the_others(
    encoder, untrained, colours, judged
):
    planned = evaluate(
        judged(encoder, classes=3),
        colours,
        size=8,
        seed=0,
        untrained=untrained,
        protocols=(Retrieval(), KNN(neighbours=[5]), Calibration()),
    )
    assert planned.check() is None
    results = planned.measure()
    names = [(row.protocol, row.representation) for row in results.rows]
    assert names == [
        (protocol, of)
        for of in ("trained encoder", "untrained encoder", "raw pixels")
        for protocol in ("retrieval", "kNN (k=5, T=0.07)")
    ] + [("calibration", "trained encoder")]
    first = results.rows[0]
    assert set(first.numbers) == {"recall@1"}
    assert first.numbers["recall@1"] > 0.9
    assert (first.n_train, first.n_test) == (90, 40)
    kept = json.loads(json.dumps({"step": 3, **results.to_json()}))
    assert Results.from_json(kept) == results
    curve = accuracies(kept)["result/trained_encoder/retrieval/recall_1"]
    assert curve == first.numbers["recall@1"]
    console = rich.console.Console(file=io.StringIO(), width=160)
    console.print(results.render())
    text = console.file.getvalue()
    assert "Test split, retrieval" in text
    assert f"{first.numbers['recall@1']:.4g}" in text
    margin = first.numbers["recall@1"] - results.rows[2].numbers["recall@1"]
    assert results.margin(results.rows[2]) == margin


def test_the_default_is_a_list_too(encoder, colours, judged):
    settings = {"size": 8, "seed": 0}
    planned = evaluate(judged(encoder), colours, **settings)
    assert [type(one) for one in planned.protocols] == [KNN, Linear, Logits]


def test_evaluations_of_logits_are_left_out_without_a_classifier(
    encoder, colours, judged
):
    settings = {"size": 8, "seed": 0, "baselines": False}
    results = evaluate(
        judged(encoder), colours, protocols=(Logits(), Retrieval()), **settings
    ).measure()
    assert [row.protocol for row in results.rows] == ["retrieval"]
    assert results.notes == ("there is no classifier, so Logits is left out",)
    nothing = evaluate(judged(encoder), colours, protocols=(), **settings).measure()
    assert nothing.rows == ()
    assert set(nothing.health) == {"trained encoder"}


@pytest.mark.parametrize(
    ("protocols", "said"),
    [
        ([Returning(0.5)], "the evaluation Returning returns 0.5; it must be a list"),
        ([Returning(None)], "returns None; it must be a list of sslkit.api.Score"),
        ([Returning([0.5])], r"returns \[0.5\]; it must be a list"),
        ([Returning([Score("", {"top1": 1}, 1, 1)])], "whose protocol is ''"),
        ([Returning([Score("a\nb", {"top1": 1}, 1, 1)])], r"whose protocol is 'a\\nb'"),
        ([Returning([Score("a", {}, 1, 1)])], "no number of 'a'"),
        ([Returning([Score("a", 3, 1, 1)])], "numbers of 'a' that are 3, not a map"),
        ([Returning([Score("a", {"x": "y"}, 1, 1)])], "x of 'a' that is 'y'"),
        ([Returning([Score("a", {"x": 1}, 1.5, 1)])], "n_train of 'a' that is 1.5"),
        ([Retrieval(gain=float("nan"))], "gain of 'retrieval' that is nan"),
        ([Retrieval(top1=93.0)], r"top1 of 'retrieval' that is 93.0; .* in \[0, 1\]"),
        ([Retrieval(**{"recall 1": 1.0})], "one name in curves: recall@1, recall 1"),
        ([Misspelt()], "the evaluation Misspelt reads 'feature'; `reads` must be one"),
        ([Retrieval(detail=1.0)], "called 'detail', which results use"),
        ([Retrieval(), Retrieval()], "'retrieval', of Retrieval and of Retrieval"),
        ([KNN(), Retrieval("kNN: k=20, T=0.07")], "of KNN and of Retrieval in"),
        (
            [Raising(KeyError("x"))],
            r"evaluation Raising fails: KeyError: 'x'\. Correct it",
        ),
    ],
)
def test_mistakes_are_found_before_anything_is_encoded(
    encoder, colours, judged, protocols, said
):
    planned = evaluate(judged(encoder), colours, size=8, seed=0, protocols=protocols)
    with pytest.raises(UserError, match=said) as error:
        planned.check()
    assert "\n" not in str(error.value)


def test_an_evaluation_that_refuses_synthetic_features_may_accept_real_ones(
    encoder, colours, judged
):
    refuses = Raising(UserError("I want 1000 images"))
    planned = evaluate(judged(encoder), colours, size=8, seed=0, protocols=[refuses])
    assert planned.check() is None
    with pytest.raises(UserError, match="I want 1000 images"):
        planned.measure()


def test_a_missing_requirement_is_said_before_the_run(encoder, colours, judged):
    class Needy(Retrieval):
        def check(self):
            raise UserError("install faiss")

    planned = evaluate(judged(encoder), colours, size=8, seed=0, protocols=[Needy()])
    with pytest.raises(UserError, match="install faiss"):
        planned.check()


@pytest.mark.parametrize(
    "setting", [{"linear": False}, {"knn_neighbours": [5]}, {"knn_temperature": 0.1}]
)
def test_settings_of_the_default_together_with_a_list_are_refused(
    encoder, colours, judged, setting
):
    with pytest.raises(UserError, match=r"bind evaluations\.knn\.neighbours"):
        evaluate(
            judged(encoder), colours, size=8, seed=0, protocols=[Retrieval()], **setting
        )


def test_five_classes_have_no_top5(encoder, colours, judged):
    settings = {"size": 8, "seed": 0, "protocols": [KNN()], "baselines": False}
    (row,) = evaluate(judged(encoder), colours, **settings).measure().rows
    assert set(row.numbers) == {"top1"}
    for source in colours.splits.values():
        source.classes = 6
    (row,) = evaluate(judged(encoder), colours, **settings).measure().rows
    assert set(row.numbers) == {"top1", "top5"}


@pytest.mark.parametrize(
    ("binding", "said"),
    [
        (
            "(@evaluations.knnn(),)",
            "is called 'knnn'. Did you mean 'knn'",
        ),
        ("(@evaluations.knn,)", "evaluate.protocols"),
        ("@evaluations.knn()", "evaluate.protocols"),
        ("(@optimizers.adam(),)", "evaluate.protocols"),
    ],
)
def test_a_recipe_is_refused_before_anything_is_imported(binding, said):
    with pytest.raises(UserError, match=said):
        config.read(
            ["gin/fnc_digits_pretrain.gin"], [f"evaluate.protocols = {binding}"]
        )


def test_a_recipe_names_a_list(encoder, colours, judged):
    loaded = config.load(
        ["gin/fnc_digits_pretrain.gin"],
        [
            "evaluate.protocols = (@evaluations.knn(), @evaluations.linear())",
            "evaluations.knn.neighbours = (3,)",
        ],
    )
    planned = loaded.evaluate(objective=judged(encoder), data=colours, size=8, seed=0)
    assert [type(one) for one in planned.protocols] == [KNN, Linear]
