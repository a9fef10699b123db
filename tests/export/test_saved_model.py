import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from sslkit.api import Backbone, Objective, Outcome
from sslkit.errors import UserError
from sslkit.export.saved_model import export

SIZE = 8

# Runs where importing the package is impossible.
LOAD = """
import sys
sys.modules["sslkit"] = None
import numpy as np
import tensorflow as tf
folder, given, answers = sys.argv[1:]
images = np.load(given)
encoder = tf.saved_model.load(folder)
found = encoder.signatures["serving_default"](images=tf.constant(images))
called = encoder(tf.constant(images))
with tf.GradientTape() as tape:
    loss = tf.reduce_mean(tf.square(encoder(tf.constant(images))["features"]))
weights = [w for w in encoder.trainable_variables if "head" not in w.name]
for weight, gradient in zip(weights, tape.gradient(loss, weights)):
    weight.assign_sub(0.1 * gradient)
moved = encoder(tf.constant(images))["features"]
np.savez(
    answers,
    features=found["features"],
    logits=found["logits"],
    called=called["features"],
    moved=moved,
    names=[v.name for v in encoder.variables],
)
"""


class Convolutions(Backbone):
    """Sub-layers in a list, batch normalisation: what an encoder is made of."""

    feature_dim = 5

    def __init__(self, *, name: str) -> None:
        super().__init__(name=name)
        self.blocks = [
            keras.layers.Conv2D(4, 3, name=f"conv_{number}") for number in range(2)
        ]
        self.norm = keras.layers.BatchNormalization(name="norm")
        self.pool = keras.layers.GlobalAveragePooling2D(name="pool")
        self.last = keras.layers.Dense(5, name="last")

    def call(self, images, *, training):
        for block in self.blocks:
            images = block(images)
        return self.last(self.pool(self.norm(images, training=training)))


class Twins(Objective):
    """An encoder, its momentum twin, a projection and perhaps a classifier."""

    def __init__(self, *, classes: int | None = None, name: str = "twins") -> None:
        super().__init__(name=name)
        self.classes = classes
        self.encoder = Convolutions(name="encoder")
        self.twin = Convolutions(name="twin")
        self.projection = keras.layers.Dense(3, name="projection")
        self.head = keras.layers.Dense(classes or 1, name="head")

    @property
    def requires(self):
        return {"instance": 1}

    def call(self, batch, *, step):
        images = batch.views["instance"][0]
        features = self.encoder(images, training=True)
        self.twin(images, training=True)
        self.head(features)
        return Outcome(tf.reduce_mean(self.projection(features)), {})

    def logits(self, images):
        return self.head(self.encoder(images, training=False))


def built(**settings) -> Twins:
    keras.utils.set_random_seed(0)
    objective = Twins(**settings)
    images = keras.KerasTensor([None, SIZE, SIZE, 3])
    for encoder in (objective.encoder, objective.twin):
        encoder(images, training=False)
    for layer in (objective.projection, objective.head):
        layer(keras.KerasTensor([None, 5]))
    return objective


def pictures(n: int) -> np.ndarray:
    return np.random.default_rng(0).random([n, SIZE, SIZE, 3], np.float32)


def test_an_export_loads_without_sslkit(tmp_path, two_replicas):
    with two_replicas.scope():
        objective = built(classes=4)
    # Statistics as after training, so that inference and training mode differ.
    objective.encoder.norm.moving_mean.assign(np.full(4, 0.3, np.float32))
    images = pictures(3)
    np.save(tmp_path / "images.npy", images)
    export(objective, tmp_path / "out", size=SIZE)
    subprocess.run(
        [sys.executable, "-c", LOAD, "out", "images.npy", "answers.npz"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
        check=True,
        capture_output=True,
    )
    found = np.load(tmp_path / "answers.npz")
    features = objective.encoder(tf.constant(images), training=False).numpy()
    # Same kernels on the same numbers; 1e-5 leaves room for another graph's fusions.
    np.testing.assert_allclose(found["features"], features, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["called"], features, rtol=1e-5, atol=1e-6)
    logits = objective.logits(tf.constant(images)).numpy()
    np.testing.assert_allclose(found["logits"], logits, rtol=1e-5, atol=1e-6)
    assert np.abs(found["moved"] - features).max() > 1e-4


def test_an_export_holds_only_what_its_outputs_need(tmp_path):
    export(built(classes=4), tmp_path / "out", size=SIZE)
    loaded = tf.saved_model.load(str(tmp_path / "out"))
    names = {variable.name.split(":")[0] for variable in loaded.variables}
    assert names == {
        *(f"encoder/conv_{i}/{w}" for i in range(2) for w in ("kernel", "bias")),
        *(
            f"encoder/norm/{w}"
            for w in ("gamma", "beta", "moving_mean", "moving_variance")
        ),
        *(
            f"{layer}/{w}"
            for layer in ("encoder/last", "head")
            for w in ("kernel", "bias")
        ),
    }
    moving = names - {v.name.split(":")[0] for v in loaded.trainable_variables}
    assert moving == {"encoder/norm/moving_mean", "encoder/norm/moving_variance"}


def test_without_a_classifier_there_are_features_only(tmp_path):
    export(built(), tmp_path / "out", size=SIZE)
    loaded = tf.saved_model.load(str(tmp_path / "out"))
    outputs = loaded.signatures["serving_default"].structured_outputs
    assert {name: spec.shape.as_list() for name, spec in outputs.items()} == {
        "features": [None, 5]
    }
    assert not any("head" in variable.name for variable in loaded.variables)


def test_later_training_does_not_change_an_export(tmp_path):
    objective = built()
    export(objective, tmp_path / "out", size=SIZE)
    images = tf.constant(pictures(2))
    before = objective.encoder(images, training=False).numpy()
    objective.encoder.last.kernel.assign_add(tf.ones([4, 5]))
    loaded = tf.saved_model.load(str(tmp_path / "out"))
    np.testing.assert_allclose(loaded(images)["features"], before, rtol=1e-5, atol=1e-6)


def test_the_printed_python_code_runs(tmp_path):
    lines = export(built(), tmp_path / "out", size=SIZE)
    assert "sslkit" not in lines.replace(str(tmp_path), "")
    namespace: dict = {}
    exec(lines, namespace)
    assert namespace["features"].shape == [1, 5]


def test_an_earlier_export_is_replaced_whole(tmp_path):
    objective = built()
    export(objective, tmp_path / "out", size=SIZE)
    (tmp_path / "out" / "stale").touch()
    export(objective, tmp_path / "out", size=SIZE)
    assert not (tmp_path / "out" / "stale").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_directory_is_filled(tmp_path):
    (tmp_path / "a" / "out").mkdir(parents=True)
    export(built(), tmp_path / "a" / "out", size=SIZE)
    assert (tmp_path / "a" / "out" / "saved_model.pb").exists()


def test_other_files_are_never_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="not an earlier export"):
        export(built(), tmp_path, size=SIZE)
    with pytest.raises(UserError, match="it is a file"):
        export(built(), tmp_path / "thesis.tex", size=SIZE)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_parent_that_is_a_file_is_a_one_line_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="out cannot be written: File exists"):
        export(built(), tmp_path / "file" / "out", size=SIZE)


def test_state_outside_keras_is_refused(tmp_path):
    objective = built()
    hidden = tf.Variable(2.0)
    call = objective.encoder.call
    objective.encoder.call = lambda images, *, training: (
        hidden * call(images, training=training)
    )
    with pytest.raises(UserError, match="read 1 variables that are not Keras"):
        export(objective, tmp_path / "out", size=SIZE)
    assert list(tmp_path.iterdir()) == []
