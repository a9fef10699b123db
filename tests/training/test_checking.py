"""Mistakes of plugin authors are one line, before the first step."""

from __future__ import annotations

import re

import keras
import pytest
import tensorflow as tf
from training.conftest import Brightness, Colour

from sslkit import plugins
from sslkit.api import (
    Augmentation,
    Moved,
    Optimizer,
    Outcome,
    Schedule,
    UserError,
    ViewGroup,
)
from sslkit.data.dataset import data
from sslkit.data.digits import Digits
from sslkit.optimize.adam import Adam
from sslkit.optimize.lars import LARS
from sslkit.optimize.momentum import Momentum
from sslkit.testing.precision import precision
from sslkit.training.trying import check_example, check_rate, check_source
from sslkit.training.updating import updated


def returning(change, **attributes):
    """Makes an objective whose outcome is changed by `change`."""

    class Mine(Brightness):
        def call(self, batch, *, step):
            return change(super().call(batch, step=step))

    for name, value in attributes.items():
        setattr(Mine, name, value)
    return Mine


def metric(value, name="mine"):
    return returning(lambda outcome: Outcome(outcome.loss, {name: value(outcome)}))


def loss(change):
    return returning(lambda outcome: Outcome(change(outcome.loss), {}))


def looped(value):
    return tf.while_loop(
        lambda i, _: i < 2, lambda i, x: (i + 1, x + tf.random.normal([])), (0, value)
    )[1]


def shown(batch):
    return tf.reshape(batch.views["instance"], [4, 4, 4, 3])


class WithoutEncoder(Brightness):
    def __init__(self, backbone, *, name="mine"):
        super().__init__(backbone, name=name)
        self.network = self.encoder
        del self.encoder

    def call(self, batch, *, step):
        features = self.network(shown(batch), training=True)
        return Outcome(tf.reduce_mean(features), {})


class LooksForEncoder(WithoutEncoder):
    def call(self, batch, *, step):
        return Outcome(tf.reduce_mean(self.encoder(shown(batch))), {})


class Unnamed(Brightness):
    def __init__(self, backbone, *, name="mine"):
        super().__init__(backbone, name=name)
        self.blocks = [keras.layers.Dense(2), keras.layers.ReLU()]

    def call(self, batch, *, step):
        features = self.encoder(shown(batch), training=True)
        for block in self.blocks:
            features = block(features)
        return Outcome(tf.reduce_mean(features), {})


class Unmade(Brightness):
    def __init__(self, backbone, *, name="mine"):
        self.encoder = backbone(name="encoder")


class Refusing(Brightness):
    def call(self, batch, *, step):
        raise UserError("this batch is of no use.")


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        (
            returning(lambda outcome: outcome.loss),
            "(Mine): call returns a tensor, float32 []; wanted sslkit.api.Outcome(",
        ),
        (
            returning(lambda outcome: (outcome.loss, {})),
            "(Mine): call returns a tuple; wanted sslkit.api.Outcome(",
        ),
        (
            loss(lambda value: tf.fill([4], value)),
            "the loss is a tensor, float32 [4]; wanted float32 [], the mean",
        ),
        (
            loss(lambda value: tf.cast(value, tf.bfloat16)),
            "the loss is a tensor, bfloat16 []; wanted float32 [], the mean over this "
            "replica's examples. Cast to float32 before the loss.",
        ),
        (loss(lambda value: 1.5), "the loss is 1.5 of Python; wanted float32 []"),
        (
            metric(lambda outcome: 3),
            "the metric 'mine' is 3 of Python; wanted a tensor, float32 [].",
        ),
        (
            metric(lambda outcome: tf.zeros([2])),
            "the metric 'mine' is a tensor, float32 [2]; wanted a tensor, float32 [].",
        ),
        (
            metric(lambda outcome: outcome.loss, name="step"),
            "a metric is called 'step'; wanted a name other than loss,",
        ),
        (
            returning(lambda outcome: Outcome(outcome.loss, [outcome.loss])),
            "the metrics are a list; wanted a mapping",
        ),
        (
            loss(lambda value: value + tf.random.normal([])),
            "call draws random numbers that no seed of the run fixes "
            "(RandomStandardNormal)",
        ),
        (
            loss(looped),
            "call draws random numbers that no seed of the run fixes (RandomStandard",
        ),
        (WithoutEncoder, "(WithoutEncoder): self.encoder is not there. The encod"),
        (LooksForEncoder, "(LooksForEncoder): self.encoder is not there. The enco"),
        (Unnamed, "(Unnamed): layers without an explicit name: dense"),
        (
            Unmade,
            "Unmade: its constructor does not call that of Objective. Write super(",
        ),
        (Refusing, "this batch is of no use."),
    ],
)
def test_what_an_objective_returns(built, objective, said):
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        built(objective)
    assert "\n" not in str(caught.value)


def test_layers_without_variables_need_no_name(built):
    class Named(Unnamed):
        def __init__(self, backbone, *, name="mine"):
            super().__init__(backbone, name=name)
            self.blocks = [keras.layers.Dense(2, name="head"), keras.layers.ReLU()]

    assert "head/kernel" in built(Named).table


def test_seeded_draws_are_welcome(built):
    built(loss(lambda value: value + tf.random.stateless_normal([], [1, 2])))


def test_a_cast_to_float32_under_the_laws_is_named(built):
    said = r"float64 here, as in the laws: cast to sslkit\.nn\.full_dtype\(layer\)"
    with precision("float64"), pytest.raises(UserError, match=said):
        built(loss(lambda value: tf.cast(value, tf.float32)))


def test_features_of_another_width_than_announced(built):
    class Wide(Colour):
        feature_dim = 16

    class Mine(Brightness):
        def __init__(self, backbone, *, name="mine"):
            super().__init__(Wide, name=name)

    said = r"encoder \(Wide\) returns a tensor, float32 \[4, 3\] and says feature_dim ="
    with pytest.raises(UserError, match=said):
        built(Mine)


def test_calls_are_as_they_were_afterwards(built):
    state = built()
    assert "call" not in vars(state.objective)
    assert "call" not in vars(state.objective.encoder)


class OneTensor(Momentum):
    def update(self, weight, gradient, slots, *, path, rate, step):
        return weight - rate * gradient


class OtherSlot(Momentum):
    def update(self, weight, gradient, slots, **named):
        return weight - gradient, {"velocity": gradient}


class OtherShape(Momentum):
    def update(self, weight, gradient, slots, **named):
        return tf.reduce_sum(weight), {"momentum": gradient}


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (lambda step: tf.cast(step, tf.float32), None),
        (lambda step: 0.1, None),
        (lambda step: step, r"returns a tensor, int64 \[\]; wanted a tensor, float32"),
        (lambda step: [0.1, 0.2], r"returns a tensor, float32 \[2\]; wanted"),
        (
            lambda step: 0.1 if step < 5 else 0.2,
            "rate fails where the step is a",
        ),
        (lambda step: 0.1 - tf.cast(step, tf.float32), "is -4.9 at step 5 of 10; want"),
        (
            lambda step: tf.math.log(tf.cast(9 - step, tf.float32)),
            "is -inf at step 9 ",
        ),
    ],
)
def test_what_a_schedule_returns(rate, said):
    class Mine(Schedule):
        def rate(self, step, *, steps, batch_size, examples):
            return rate(step)

    if said is None:
        check_rate(Mine(), 10, 4, 40)
        return
    with pytest.raises(UserError, match=f"^schedule Mine: .*{said}") as caught:
        check_rate(Mine(), 10, 4, 40)
    assert "\n" not in str(caught.value)


class Forgetful(Optimizer):
    def update_all(self, weights, *, step, steps):
        return {path: Moved(weights[path].value, {}) for path in ["small"]}


class Flattening(Optimizer):
    def update(self, weight, gradient, slots, **named):
        return tf.reshape(weight - gradient, [-1]), {}


@pytest.mark.parametrize(
    ("optimizer", "said"),
    [
        (Forgetful(), r"update_all returns 1 weights for 2, without large\. Return"),
        (
            Flattening(),
            r"the weight as a tensor, float32 \[6\]; wanted float32 \[2, 3\]",
        ),
    ],
)
def test_all_weights_of_an_update_are_checked(optimizer, said):
    """The check before a run tries the smallest weight only."""
    shapes = {"small": (3,), "large": (2, 3)}
    weights = {path: keras.Variable(tf.zeros(shape)) for path, shape in shapes.items()}
    with pytest.raises(UserError, match=said):
        updated(
            optimizer,
            weights,
            {path: {} for path in weights},
            [tf.ones(shape) for shape in shapes.values()],
            held={},
            rate=tf.constant(0.1),
            step=tf.constant(0, tf.int64),
            steps=1,
        )


class Neither(Optimizer):
    pass


class OtherPaths(Momentum):
    def update_all(self, weights, *, step, steps):
        return {f"my/{path}": weight for path, weight in weights.items()}


@pytest.mark.parametrize(
    ("optimizer", "said"),
    [
        (Neither(), "Neither implements neither update nor update_all; wanted one"),
        (
            OtherPaths(),
            r"update_all returns \['my/encoder/scale'\]; wanted .* \['encoder/scale'\]",
        ),
        (
            OneTensor(),
            r"OneTensor: update returns a tensor, float32 \[3\]; wanted \(new weight,",
        ),
        (
            OtherSlot(),
            r"the slots \['velocity'\] and `slots` declares \['momentum'\]",
        ),
        (
            OtherShape(),
            r"returns the weight as a tensor, float32 \[\]; wanted float32 \[3\]",
        ),
        (
            Adam(no_decay=["encoder/scal", "/scale"]),
            None,
        ),
        (
            Adam(no_decay=["encoder/skale"]),
            r"Adam: no_decay: the pattern 'encoder/skale' matches none of the 1 "
            r"weights that are trained, such as encoder/scale\.",
        ),
        (LARS(no_adaptation=["head/"]), "LARS: no_adaptation: the pattern 'head/'"),
        (Momentum(no_decay=["head/"]), "Momentum: no_decay: the pattern 'head/'"),
        # A pattern for a kind of layer need not match.
        (LARS(), None),
    ],
)
def test_what_an_optimizer_returns_and_leaves_out(built, optimizer, said):
    if said is None:
        built(optimizer=optimizer)
    else:
        with pytest.raises(UserError, match=said):
            built(optimizer=optimizer)


@pytest.mark.parametrize("make", [Adam, LARS, Momentum])
def test_exclusions_are_a_sequence_of_patterns(make):
    with pytest.raises(UserError, match=r"no_decay is 'bias'; .* \['bias'\] holds one"):
        make(no_decay="bias")
    with pytest.raises(UserError, match=r"'\(' is not a regular expression"):
        make(no_decay=["("])


class Views(Augmentation):
    groups = {"instance": ViewGroup(1, 4)}  # noqa: RUF012

    def __init__(self, change):
        self.change = change

    def example(self, image, seed):
        view = tf.image.resize(tf.cast(image, tf.float32), [4, 4])
        return self.change(tf.cast(view, tf.uint8)[tf.newaxis])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda view: {"instance": tf.cast(view, tf.float32)},
            r"Views: example returns 'instance' as a tensor, float32 \[1, 4, 4, 3\]; "
            r"wanted uint8 \[1, 4, 4, 3\]",
        ),
        (lambda view: {"instance": view[0]}, r"uint8 \[4, 4, 3\]; wanted uint8 \[1,"),
        (
            lambda view: {"other": view},
            r"returns \['other'\]; wanted .* \['inst",
        ),
        (lambda view: view, "returns a tensor, uint8"),
        (
            lambda view: view.numpy(),
            "example fails where the image is a tensor",
        ),
        (
            lambda view: {"instance": tf.image.random_flip_left_right(view)},
            r"Views: example draws random numbers that no seed of the run fixes \(Ran",
        ),
    ],
)
def test_what_an_augmentation_makes(change, said):
    with pytest.raises(UserError, match=said):
        check_example(Views(change))
    check_example(Views(lambda view: {"instance": view}))


@pytest.mark.parametrize(
    ("example", "said"),
    [
        (lambda image, label: (image, label), None),
        (lambda image, label: image, r"a tensor, uint8 .*; wanted \(image, label\)"),
        (
            lambda image, label: (
                tf.image.convert_image_dtype(image, "float32"),
                label,
            ),
            r"the image as a tensor, float32 .*; wanted uint8 \[height, width, 3\]\.",
        ),
        (lambda image, label: (image[..., :1], label), "the image as a tensor, uint8"),
        (
            lambda image, label: (image, tf.cast(label, tf.int64)),
            r"the label as a tensor, int64 \[\]; wanted int32 \[\]\.",
        ),
        (lambda image, label: (image, int(label)), "example fails where the index is"),
    ],
)
def test_what_a_source_returns(example, said):
    class Mine(Digits):
        def example(self, index):
            return example(*super().example(index))

    source = Mine(split="test")
    if said is None:
        check_source(source)
        return
    with pytest.raises(UserError, match=f"^source Mine: .*{said}"):
        check_source(source)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": 0}, "size is 0; wanted the number of examples, 1 or more"),
        ({"size": 9.0}, r"size is 9\.0; wanted the number of examples"),
        ({"name": None}, "name is None; wanted a text"),
        ({"classes": "ten"}, "classes is 'ten'; wanted the number of classes,"),
        (
            {"label_names": ("a",)},
            r"label_names is \('a',\); wanted none, or one",
        ),
    ],
)
def test_what_a_source_says(change, said):
    def opened(split):
        source = Digits(split=split)
        vars(source).update(change)
        return source

    with pytest.raises(UserError, match=f"^source Digits: {said}"):
        data(source=opened).split("test")


def test_groups_of_plain_tuples_are_refused(built):
    with pytest.raises(UserError, match=r"groups \{'instance': \(1, 4\)\}; wanted a"):
        built(groups={"instance": (1, 4)})


def announced(monkeypatch, *found):
    monkeypatch.setattr(
        plugins,
        "installed",
        lambda: [
            plugins.Plugin(kind, name, value, "mine", "1.0")
            for kind, name, value in found
        ],
    )


def test_only_augmentations_that_exist_are_suggested(built, monkeypatch):
    where = f"{Brightness.__module__}:{Brightness.__qualname__}"
    announced(
        monkeypatch,
        ("objectives", "good", where),
        ("augmentations", "good", "a:B"),
        ("augmentations", "other", "a:C"),
    )
    groups = {"instance": ViewGroup(2, 4)}
    with pytest.raises(UserError, match=r"e\.g\. @augmentations\.good\(\), or change"):
        built(Brightness, groups=groups)
    announced(monkeypatch, ("augmentations", "other", "a:C"))
    with pytest.raises(UserError, match=r"makes them \(installed: other\), or change"):
        built(Brightness, groups=groups)


def test_a_mistake_inside_call_is_said_with_its_cause(built):
    with pytest.raises(UserError, match=r"call fails: AttributeError: .*'nothing'"):
        built(returning(lambda outcome: outcome.loss.nothing))


@pytest.mark.parametrize("requires", [None, {"instance": "1"}])
def test_requires_is_a_mapping_to_whole_numbers(built, requires):
    with pytest.raises(UserError, match=r"requires is .*; wanted a mapping of view"):
        built(returning(lambda outcome: outcome, requires=requires))
