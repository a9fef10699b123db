"""Each law finds the bug it is named after: all kinds but objectives."""

from __future__ import annotations

import pytest
from testing.broken import (
    augmentations,
    backbones,
    optimizers,
    reporters,
    runners,
    schedules,
)

from sslkit.api import Augmentation, Backbone, Optimizer, Reporter, Runner, Schedule
from sslkit.testing import RULES, laws_of

# Law, the plugin with the bug, and what the message says.
CASES = [
    ("gives_the_same_views_for_a_seed", "GlobalDraw", "two different views"),
    ("gives_the_same_views_for_a_seed", "SeedIgnored", "another seed gives the same"),
    ("makes_views_that_match_its_groups", "WrongSize", r"\(2, 5, 6, 3\)"),
    ("makes_views_that_match_its_groups", "FloatViews", "makes float32"),
    ("runs_in_tf_data", "NumpyViews", "fails inside tf.data"),
    ("runs_in_tf_data", "UnknownShape", "instance has the shape"),
    ("runs_in_tf_data", "DrawnWhileTracing", "differ from those in eager mode"),
    (
        "makes_the_same_views_on_a_gpu_as_on_a_cpu",
        "DarkOnGPUs",
        "of the values of instance differ",
    ),
    (
        "makes_the_same_views_on_a_gpu_as_on_a_cpu",
        "SmallOnTPUs",
        r"on\('TPU'\) does not return an augmentation",
    ),
    ("stays_in_the_unit_interval", "TooBright", "to 1.1"),
    ("stays_in_the_unit_interval", "TwiceDivided", "black"),
    (
        "finishes_batches_the_same_on_two_replicas",
        "DrawnByPlace",
        "on 2 replicas instance differs",
    ),
    ("gives_one_vector_per_image", "OtherWidth", r"must be float32 \[8, 5\]"),
    ("gives_one_vector_per_image", "HalfFeatures", "returns bfloat16"),
    ("is_deterministic", "Noisy", "two calls differ"),
    ("is_deterministic", "BatchStatisticsAlways", "depend on the rest of the batch"),
    ("is_deterministic", "UnseededEncoder", "different weights: encoder/dense/bias"),
    ("draws_the_same_in_the_same_step", "GlobalNoise", "in one step"),
    ("draws_the_same_in_the_same_step", "NoiseInInference", "it uses random numbers"),
    (
        "does_not_change_when_frozen",
        "TracksAlways",
        "inference mode changes encoder/seen",
    ),
    (
        "does_not_change_when_frozen",
        "MovesWeights",
        "training mode changes weights: .*bias",
    ),
    ("does_not_change_when_frozen", "NeverFrozen", "still trains encoder/dense/kernel"),
    ("names_all_its_layers", "NamelessDense", "differently: encoder/dense"),
    ("names_all_its_layers", "OtherName", "mine/dense/kernel does not begin"),
    ("gradient_reaches_every_weight", "UnusedDense", "reaches encoder/extra/kernel"),
    ("encodes_the_same_on_two_replicas", "LocalNorm", "two replicas differ from one"),
    (
        "encodes_the_same_on_two_replicas",
        "NoiseByPlace",
        "two replicas differ from one",
    ),
    ("computes_without_float64", "DoubleLight", "compute in float64: "),
    ("computes_without_float64", "DoubleFeatures", "compute in float64: "),
    ("computes_without_float64", "DoubleLength", "compute in float64: "),
    ("computes_without_float64", "DoubleShare", "compute in float64: "),
    (
        "keeps_all_state_in_its_slots",
        "CountsInPython",
        "the second update is different",
    ),
    ("keeps_all_state_in_its_slots", "CountsInstances", "two instances .* differ"),
    ("returns_the_slots_it_declares", "OtherSlot", r"returns \['total'\]"),
    ("returns_the_slots_it_declares", "Float32Only", "fails on float64 weights"),
    ("returns_the_slots_it_declares", "LosesAWeight", "it returns 2 of 3 weights"),
    ("pairs_weights_by_their_paths", "NormOfTheFirst", "in another order the weight"),
    ("stays_finite_to_the_end_of_the_run", "DividesByWhatIsLeft", "at step 40 of 40"),
    (
        "updates_the_same_in_a_graph_and_under_jit",
        "PythonBranch",
        "in a graph the weight",
    ),
    ("updates_the_same_in_a_graph_and_under_jit", "NumpyStep", "fails in a graph"),
    ("moves_against_the_gradient", "Ascent", "does not go against the gradient"),
    ("moves_against_the_gradient", "RateIgnored", "with a learning rate of 0"),
    ("gives_a_finite_rate_at_every_step", "NanAtTheEnd", "nan at step 40 of 40"),
    ("gives_a_finite_rate_at_every_step", "NegativeLater", "at step 41 of 40"),
    ("gives_a_finite_rate_at_every_step", "HalfRate", "the rate is bfloat16"),
    ("gives_the_same_rate_in_a_graph", "FrozenRate", "at step 3 the rate is"),
    ("creates_nothing_before_open", "OpensEarly", "creates notes"),
    (
        "accepts_everything_that_a_run_reports",
        "WholeNumbers",
        "a whole run it raises ValueError",
    ),
    (
        "continues_a_run_that_was_stopped",
        "NewFolderEachTime",
        "at step 10 it raises FileExistsError",
    ),
    (
        "accepts_a_result_without_open",
        "ResultOfOpenOnes",
        "without `open` it raises Attr",
    ),
    ("describes_itself_the_same_each_time", "NewStrategyEachTime", "a new object each"),
    ("describes_itself_the_same_each_time", "UnsureChief", "`is_chief` is None"),
    ("trains_as_single_does", "LosesABatch", "the losses of a toy run"),
    ("trains_as_single_does", "StepsTwice", "the losses of a toy run"),
    ("trains_as_single_does", "StepsOnceMore", "the variables differ from those"),
]
HEALTHY = {
    Augmentation: augmentations.Views,
    Backbone: backbones.Encoder,
    Optimizer: optimizers.Descent,
    Reporter: reporters.Notebook,
    Runner: runners.OneDevice,
    Schedule: schedules.Rate,
}
SHARED = "constructor_spells_its_parameters"


def broken(plugin):
    modules = (augmentations, backbones, optimizers, reporters, runners, schedules)
    return next(getattr(m, plugin) for m in modules if hasattr(m, plugin))


def law(name, plugin):
    return next(case for case in laws_of(plugin) if case.name == name)


@pytest.mark.parametrize(
    ("name", "plugin", "found"),
    [
        # By the same comparison as LosesABatch.
        pytest.param(*case, marks=pytest.mark.slow if case[1] == "StepsTwice" else ())
        for case in CASES
    ],
)
def test_finds_the_bug(name, plugin, found):
    words = name.replace("_", " ")
    with pytest.raises(AssertionError, match=f"breaks the law '{words}': .*{found}"):
        law(name, broken(plugin))()


@pytest.mark.parametrize(
    "kind",
    [
        # By default runners.mirrored is under the same laws.
        pytest.param(kind, marks=pytest.mark.slow if kind is Runner else ())
        for kind in HEALTHY
    ],
    ids=lambda kind: kind.__name__,
)
def test_passes_what_is_healthy(kind):
    for case in laws_of(HEALTHY[kind]):
        case()


def test_a_backbone_may_draw():
    for case in laws_of(backbones.KeyedNoise):
        case()


def test_every_law_can_fail():
    rules = {rule.__name__ for kind in HEALTHY for rule in RULES[kind]}
    assert {case[0] for case in CASES} == rules - {SHARED}


def test_a_runner_that_cannot_run_here_is_skipped():
    from sslkit.runners.mirrored import Mirrored

    with pytest.raises(pytest.skip.Exception, match="99 replicas are configured"):
        law("trains_as_single_does", Mirrored)
        next(
            case
            for case in laws_of(Mirrored, replicas=99)
            if case.name == "trains_as_single_does"
        )()


def test_a_class_of_no_kind_has_no_laws():
    with pytest.raises(TypeError, match="int is not a subclass of a kind"):
        laws_of(int)
