"""The laws of each kind of plugin, and a decorator that makes each law a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sslkit import api
from sslkit.signatures import misfit
from sslkit.testing import (
    augmentation_laws,
    backbone_laws,
    class_laws,
    evaluation_laws,
    float64_law,
    half_laws,
    objective_laws,
    optimizer_laws,
    reporter_laws,
    runner_laws,
    source_laws,
    training_laws,
)
from sslkit.testing.backbone import TinyBackbone
from sslkit.testing.law import Law, Subject

Test = TypeVar("Test", bound=Callable[..., Any])

RULES: dict[type, tuple[Callable[[Subject], None], ...]] = {
    api.Objective: (
        objective_laws.builds_without_side_effects,
        objective_laws.owns_every_variable,
        objective_laws.has_the_same_paths_twice,
        objective_laws.loss_is_a_finite_scalar,
        objective_laws.gradient_reaches_all_trained_weights_and_no_twin,
        training_laws.gradient_equals_finite_differences,
        training_laws.replicas_do_not_change_the_result,
        training_laws.replicas_stay_equal,
        training_laws.four_replicas_do_the_same_as_two,
        training_laws.jit_does_not_change_the_result,
        training_laws.does_not_retrace,
        training_laws.resumes_bit_for_bit,
        training_laws.batch_order_does_not_matter,
        training_laws.an_unlabelled_example_changes_nothing,
        training_laws.parts_of_a_batch_give_the_same_update,
        float64_law.computes_without_float64,
        half_laws.bfloat16_stays_close,
        objective_laws.refuses_wrong_views_by_name,
        class_laws.constructor_spells_its_parameters,
    ),
    api.Augmentation: (
        augmentation_laws.gives_the_same_views_for_a_seed,
        augmentation_laws.makes_views_that_match_its_groups,
        augmentation_laws.runs_in_tf_data,
        augmentation_laws.makes_the_same_views_on_a_gpu_as_on_a_cpu,
        augmentation_laws.stays_in_the_unit_interval,
        augmentation_laws.finishes_batches_the_same_on_two_replicas,
        float64_law.computes_without_float64,
        class_laws.constructor_spells_its_parameters,
    ),
    api.Backbone: (
        backbone_laws.gives_one_vector_per_image,
        backbone_laws.is_deterministic,
        backbone_laws.draws_the_same_in_the_same_step,
        backbone_laws.does_not_change_when_frozen,
        backbone_laws.names_all_its_layers,
        backbone_laws.gradient_reaches_every_weight,
        backbone_laws.encodes_the_same_on_two_replicas,
        float64_law.computes_without_float64,
        class_laws.constructor_spells_its_parameters,
    ),
    api.Evaluation: (
        evaluation_laws.returns_scores,
        evaluation_laws.gives_the_same_numbers_each_time,
        evaluation_laws.does_not_change_the_features,
        evaluation_laws.tells_good_features_from_bad,
        evaluation_laws.does_not_learn_from_the_test_split,
        evaluation_laws.accepts_a_bank_without_a_class,
        evaluation_laws.accepts_equal_features,
        class_laws.constructor_spells_its_parameters,
    ),
    api.Optimizer: (
        optimizer_laws.keeps_all_state_in_its_slots,
        optimizer_laws.returns_the_slots_it_declares,
        optimizer_laws.pairs_weights_by_their_paths,
        optimizer_laws.stays_finite_to_the_end_of_the_run,
        optimizer_laws.updates_the_same_in_a_graph_and_under_jit,
        optimizer_laws.moves_against_the_gradient,
        float64_law.computes_without_float64,
        class_laws.constructor_spells_its_parameters,
    ),
    api.Schedule: (
        optimizer_laws.gives_a_finite_rate_at_every_step,
        optimizer_laws.gives_the_same_rate_in_a_graph,
        float64_law.computes_without_float64,
        class_laws.constructor_spells_its_parameters,
    ),
    api.Reporter: (
        reporter_laws.creates_nothing_before_open,
        reporter_laws.accepts_everything_that_a_run_reports,
        reporter_laws.continues_a_run_that_was_stopped,
        reporter_laws.accepts_a_result_without_open,
        class_laws.constructor_spells_its_parameters,
    ),
    api.Runner: (
        runner_laws.describes_itself_the_same_each_time,
        runner_laws.trains_as_single_does,
        class_laws.constructor_spells_its_parameters,
    ),
    api.Source: (
        source_laws.returns_uint8_images_and_int32_labels,
        source_laws.reads_the_same_each_time,
        source_laws.labels_agree,
        source_laws.refuses_a_split_that_does_not_exist,
        source_laws.describes_its_examples_differently,
        class_laws.constructor_spells_its_parameters,
    ),
}
"""Kind -> its laws, which a correct plugin keeps."""

STYLE: dict[type, tuple[Callable[[Subject], None], ...]] = {
    kind: (class_laws.docstrings_explain_every_parameter,) for kind in RULES
} | {
    api.Objective: (
        class_laws.docstrings_explain_every_parameter,
        class_laws.docstring_cites_its_source,
    )
}
"""Kind -> its laws of style. Breaking one of these cannot make a run fail."""


def laws_of(plugin: type, **options: Any) -> list[Law]:
    """Returns the laws of a plugin's kind; for those of style see `style_laws_of`.

    The laws of objectives run in float64, in which an error in the mathematics is much
    larger than rounding. So a value that must not be in half precision is cast to
    `sslkit.nn.full_dtype(layer)`, and not to tf.float32.

    Args:
        plugin: a subclass of a kind in `sslkit.api`.
        **options: constructor keywords. By default an objective gets `backbone =
            TinyBackbone`, and a source `split = "train"`.

    Raises:
        TypeError: if it is not of a kind in `sslkit.api`, or if one of its methods
            cannot be called as its kind's.
    """
    return _of(RULES, plugin, options)


def style_laws_of(plugin: type, **options: Any) -> list[Law]:
    """Returns the laws of style of a plugin's kind; arguments as for `laws_of`."""
    return _of(STYLE, plugin, options)


def _of(
    table: dict[type, tuple[Callable[[Subject], None], ...]],
    plugin: type,
    options: dict[str, Any],
) -> list[Law]:
    for kind, rules in table.items():
        if issubclass(plugin, kind):
            wrong = misfit(plugin, kind)
            if wrong:
                raise TypeError(
                    f"{plugin.__name__} breaks the contract of {kind.__name__}: "
                    f"{wrong[0]}. {wrong[1]}."
                )
            if kind is api.Objective:
                options = {"backbone": TinyBackbone, **options}
            if kind is api.Source:
                options = {"split": "train", **options}
            subject = Subject(plugin, options)
            return [Law(rule, subject) for rule in rules]
    raise TypeError(f"{plugin.__name__} is not a subclass of a kind in sslkit.api")


def laws(plugin: type, **options: Any) -> Callable[[Test], Test]:
    """Makes a test of each law of a plugin's kind.

        @sslkit.testing.laws(FNC, support=2, topk=2, bank=6)
        def test_law(law):
            law()

    Args:
        plugin: a subclass of a kind in `sslkit.api`.
        **options: constructor keywords; choose small values, because many laws train
            for a few steps.

    Returns:
        A decorator that parametrizes the argument `law` of a pytest function.

    Raises:
        TypeError: if it is not of a kind in `sslkit.api`, or if one of its methods
            cannot be called as its kind's.
    """
    return _tests(laws_of(plugin, **options))


def style_laws(plugin: type, **options: Any) -> Callable[[Test], Test]:
    """Makes a test of each law of style, such as that a docstring cites its source.

    They are separate from `laws`, because a plugin without a citation may be correct.
    The arguments are those of `laws`.
    """
    return _tests(style_laws_of(plugin, **options))


def _tests(cases: list[Law]) -> Callable[[Test], Test]:
    import pytest

    return pytest.mark.parametrize("law", [pytest.param(c, id=c.name) for c in cases])
