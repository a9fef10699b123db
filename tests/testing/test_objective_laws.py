"""Each law of objectives finds the bug it is named after, and says how to repair it."""

from __future__ import annotations

import functools

import pytest
from testing.broken import classifiers
from testing.broken import objectives as broken

from sslkit.testing import Law, laws_of, style_laws_of

# Law, the objective with the bug, and what the message says.
CASES = [
    ("builds_without_side_effects", "VariableInConstructor", "constructor makes var"),
    ("builds_without_side_effects", "GlobalRandomState", "global random state"),
    ("builds_without_side_effects", "MovesWhenBuilt", "symbolic call changes state"),
    ("owns_every_variable", "RawVariable", "does not own.*raw"),
    ("owns_every_variable", "MadeAfterBuild", "does not own.*late"),
    ("owns_every_variable", "OtherEncoderName", "no layer called `encoder`"),
    ("owns_every_variable", "LooksUpOtherViews", "call fails: .*support"),
    (
        "has_the_same_paths_twice",
        "NamelessLayer",
        r"without an explicit name.*: dense\S* \(Dense\)",
    ),
    ("has_the_same_paths_twice", "UnseededWeights", "different weights: head/bias"),
    ("loss_is_a_finite_scalar", "VectorLoss", r"the loss is a tensor, float32 \[8\]"),
    ("loss_is_a_finite_scalar", "InfiniteWhenBlank", "loss is inf on blank images"),
    ("loss_is_a_finite_scalar", "NoGradientWhenBlank", "not finite on blank images"),
    (
        "gradient_reaches_all_trained_weights_and_no_twin",
        "UnusedLayer",
        "no gradient reaches head/kernel, head/bias",
    ),
    (
        "gradient_reaches_all_trained_weights_and_no_twin",
        "TrainedTwin",
        "twin/dense/kernel, and so does the optimizer",
    ),
    (
        "gradient_reaches_all_trained_weights_and_no_twin",
        "LeakyTwin",
        "flows into twin/dense/kernel, twin/dense/bias",
    ),
    (
        "gradient_equals_finite_differences",
        "WrongCustomGradient",
        "along encoder/dense/kernel the slope of the loss",
    ),
    ("replicas_do_not_change_the_result", "LocalNegatives", "2 replicas differ .*step"),
    ("replicas_stay_equal", "DriftingState", r"different values of 1 .*centre by"),
    ("four_replicas_do_the_same_as_two", "LocalNegatives", "4 replicas differ .*step"),
    ("four_replicas_do_the_same_as_two", "DriftingState", r"4 replicas have different"),
    ("jit_does_not_change_the_result", "NotForXLA", "XLA cannot compile it"),
    ("does_not_retrace", "LateVariable", "5 steps were traced 2 times"),
    ("resumes_bit_for_bit", "StatefulNoise", r"no seed .* fixes \(RandomStandardN"),
    ("batch_order_does_not_matter", "WrongPairs", "the loss of step 0 is"),
    (
        "an_unlabelled_example_changes_nothing",
        "TrainsTheUnlabelled",
        r"unlabelled it differs on 1 replica\(s\): the loss of step 0",
    ),
    (
        "an_unlabelled_example_changes_nothing",
        "AveragesEachReplica",
        r"unlabelled it differs on 2 replica\(s\): the loss of step 0",
    ),
    (
        "an_unlabelled_example_changes_nothing",
        "CountsTheUnlabelled",
        r"differs on 1 replica\(s\): the metric top1 by",
    ),
    ("computes_without_float64", "DoubleInTheStep", "compute in float64: "),
    ("bfloat16_stays_close", "HalfLoss", "the loss is a tensor, bfloat16"),
    ("bfloat16_stays_close", "Imprecise", "in bfloat16 and"),
    ("bfloat16_stays_close", "HalfMemory", r"half-precision type: memory \(bfloat16\)"),
    ("bfloat16_stays_close", "DoubleMemory", r"not float32: memory \(float64\)"),
    ("bfloat16_stays_close", "HalfRoot", "encoder/.* is not finite in bfloat16"),
    ("bfloat16_stays_close", "HalfWave", "gradient in bfloat16 differs"),
    ("refuses_wrong_views_by_name", "RequiresNothing", "`requires` is {}"),
    ("refuses_wrong_views_by_name", "RequiresMoreLater", "is not refused"),
    ("constructor_spells_its_parameters", "Catchall", r"takes \*\*options"),
    ("docstrings_explain_every_parameter", "Undocumented", "do not explain name"),
    ("docstring_cites_its_source", "Sourceless", "does not cite a source"),
    (
        "parts_of_a_batch_give_the_same_update",
        "SaysItIsAMean",
        "in two parts gives another update",
    ),
]


def plugin_of(name: str) -> type:
    return getattr(broken if hasattr(broken, name) else classifiers, name)


@functools.cache
def checked(plugin: str) -> list[Law]:
    """Laws of one subject share what they train."""
    subject, options = plugin_of(plugin), {"backbone": broken.MeanColour}
    return [*laws_of(subject, **options), *style_laws_of(subject, **options)]


def law(name: str, plugin: str) -> Law:
    return next(case for case in checked(plugin) if case.name == name)


@pytest.mark.parametrize(
    ("name", "plugin", "found"),
    [
        # On two replicas by default.
        pytest.param(
            *case,
            marks=pytest.mark.slow
            if case[:2] == ("four_replicas_do_the_same_as_two", "DriftingState")
            else (),
        )
        for case in CASES
    ],
)
def test_finds_the_bug(name, plugin, found):
    words = name.replace("_", " ")
    with pytest.raises(AssertionError, match=f"breaks the law '{words}': .*{found}"):
        law(name, plugin)()


@pytest.mark.parametrize("name", sorted({case[0] for case in CASES}))
def test_passes_what_is_healthy(name):
    law(name, "Healthy")()


@pytest.mark.parametrize(
    "name",
    [
        "builds_without_side_effects",
        "gradient_reaches_all_trained_weights_and_no_twin",
        "replicas_stay_equal",
        "replicas_do_not_change_the_result",
        "resumes_bit_for_bit",
    ],
)
def test_an_objective_may_wait_for_state_of_its_own(name):
    law(name, "WaitsForItsCentre")()


def test_a_trained_weight_may_be_constrained_after_an_update():
    law("gradient_reaches_all_trained_weights_and_no_twin", "KeepsItsLength")()


def test_a_classifier_may_be_healthy():
    law("an_unlabelled_example_changes_nothing", "Classifier")()


def test_a_cast_to_float32_is_told_from_other_mistakes_of_dtype():
    laws = {law.name: law for law in checked("CastsToFloat32")}
    laws["loss_is_a_finite_scalar"]()
    said = r"cannot be built\. .*float64 .*float32 .*\. Laws run in float64: cast to"
    with pytest.raises(AssertionError, match=said) as caught:
        laws["gradient_equals_finite_differences"]()
    assert str(caught.value).count("sslkit.nn.full_dtype(layer)") == 1


def test_every_law_can_fail():
    assert {case[0] for case in CASES} == {law.name for law in checked("Healthy")}


def test_laws_of_style_are_separate():
    names = {law.name for law in laws_of(broken.Sourceless, backbone=broken.MeanColour)}
    assert not names & {law.name for law in style_laws_of(broken.Sourceless)}
