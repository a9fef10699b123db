"""Small but complete runs on the digits."""

from __future__ import annotations

import functools
import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from sslkit.api import UserError
from sslkit.data import data
from sslkit.nn import ResNet
from sslkit.objectives.supervised import Supervised
from sslkit.optimize.lars import LARS
from sslkit.optimize.schedules import WarmupCosine
from sslkit.runners.mirrored import Mirrored
from sslkit.runners.single import Single
from sslkit.testing import TinyBackbone, ToyMoCo
from sslkit.testing.toy import Pictures
from sslkit.training.run import Training
from sslkit.views import CropFlip
from sslkit.workdir import Workdir

MOCO = functools.partial(ToyMoCo, TinyBackbone)
CLASSIFIER = functools.partial(Supervised, TinyBackbone, classes=10)
STEPS = 6


def training(objective=MOCO, *, replicas=1, **options):
    """Makes a run with a bank, a twin, batch statistics and slots."""
    return Training(
        **{
            "objective": objective,
            "augmentation": CropFlip(size=8, count=2 if objective is MOCO else 1),
            "data": data(name="digits"),
            "optimizer": LARS(weight_decay=1e-4),
            "schedule": WarmupCosine(base=0.3, warmup_epochs=0.02),
            "runner": (
                Mirrored(replicas=replicas) if replicas > 1 else Single(device="CPU:0")
            ),
            "batch_size": 16,
            "steps": STEPS,
            "checkpoint_every": 3,
            "log_every": 2,
            **options,
        }
    )


def run(made, folder):
    """Runs to the end; returns every variable and the printed lines."""
    said = []
    more = made.run(Workdir(str(folder)), say=said.append)
    table = {name: v.numpy() for name, v in made.state.table.items()}
    return table, said, more


def half_done(folder, copy):
    """Copies a run in its state at the checkpoint before the last."""
    shutil.copytree(folder, copy)
    for file in (copy / "checkpoints").glob(f"step_{STEPS:08d}.*"):
        file.unlink()
    return copy


def comparable(folder):
    """The lines of metrics, without what differs between repetitions."""
    lines = (pathlib.Path(folder) / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    return [
        {name: value for name, value in line.items() if name not in ("time", "machine")}
        for line in found
    ]


def steps_logged(folder):
    lines = (pathlib.Path(folder) / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run without an interruption."""
    folder = tmp_path_factory.mktemp("whole")
    table, said, more = run(training(), folder)
    assert more
    return folder, table, said


def test_leaves_checkpoints_and_metrics(whole):
    folder, table, _ = whole
    names = sorted(p.name for p in (folder / "checkpoints").glob("*.index"))
    assert names == ["step_00000003.index", "step_00000006.index"]
    assert steps_logged(folder) == [2, 4, 6]
    line = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"loss", "learning_rate", "gradient_norm", "machine"} < line.keys()
    speed = ("views_per_second", "data_wait_seconds")
    assert {"device", "host_memory_bytes", *speed} == line["machine"].keys()
    reader = tf.train.load_checkpoint(str(folder / "checkpoints" / "step_00000006"))
    assert set(reader.get_variable_to_shape_map()) == set(table)
    for name, value in table.items():
        np.testing.assert_array_equal(reader.get_tensor(name), value)


def test_says_what_runs(whole):
    _, _, said = whole
    assert said[0].startswith("objective toy: ")
    assert "views instance 2 x 8 px" in said[0]
    assert said[1] == "encoder: TinyBackbone, 8 features"
    assert said[2] == "data digits/train: 10 classes, 1,437 images"
    assert said[3].startswith("length: 6 steps of 16 are 0.06681 epochs of 1,437 e")
    assert said[4] == (
        "learning rate: 1.2 (0.3 x sqrt(16)) after 1 step(s) of warm-up, then a cosine "
        "to 0"
    )
    assert said[5] == "views finished on: host"
    assert said[6] == (
        "runner: 1 replica(s) on 1 host(s); global batch 16, 16 per replica; seed 0"
    )


def test_says_which_stem_the_size_of_the_images_chose():
    encoder = functools.partial(ResNet, depth=18)
    made = training(functools.partial(Supervised, encoder, classes=10))
    assert made.describe()[1] == (
        "encoder: ResNet-18, width 1, cifar stem (chosen by the image size)"
    )


def test_says_what_the_objective_says_of_itself():
    class Told(Supervised):
        def describe(self):
            return f"answers: {self.classes} in {self.steps} steps"

    made = training(functools.partial(Told, TinyBackbone, classes=10))
    assert made.describe()[1] == "answers: 10 in 6 steps"


def test_a_run_that_was_stopped_ends_as_one_that_was_not(whole, tmp_path):
    """Bit for bit: weights, slots, statistics, bank, twin."""
    folder, wanted, _ = whole
    half = half_done(folder, tmp_path / "half")
    table, said, _ = run(training(), half)
    assert any(line.startswith("resuming at step 3 from") for line in said)
    for name, value in wanted.items():
        np.testing.assert_array_equal(table[name], value, err_msg=name)
    assert comparable(half) == comparable(folder)
    assert steps_logged(half) == [2, 4, 6]


def test_a_run_may_go_on_on_other_devices(whole, tmp_path):
    folder, wanted, _ = whole
    half = half_done(folder, tmp_path / "half")
    table, _, _ = run(training(replicas=2), half)
    for name, value in wanted.items():
        # Three float32 steps in another order: 2.5e-6 of the largest value where this
        # was written; other processors round otherwise.
        scale = max(1.0, float(np.max(np.abs(value))))
        np.testing.assert_allclose(
            table[name] / scale, value / scale, rtol=0, atol=2e-5, err_msg=name
        )


@pytest.mark.slow
def test_a_run_may_lose_half_its_devices_and_get_them_back(tmp_path):
    """From 4 replicas to 2 to 4, as one that kept its 4."""
    often = {"checkpoint_every": 2}
    wanted, _, _ = run(training(replicas=4, **often), tmp_path / "whole")
    folder = shutil.copytree(tmp_path / "whole", tmp_path / "run")
    for step, replicas in ((2, 2), (4, 4)):
        for path in (folder / "checkpoints").glob("step_*"):
            if int(path.name[5:13]) > step:
                path.unlink()
        table, said, _ = run(training(replicas=replicas, **often), folder)
        assert any(f"resuming at step {step} from" in line for line in said)
    for name, value in wanted.items():
        # As above: two of the six float32 steps add in another order.
        scale = max(1.0, float(np.max(np.abs(value))))
        np.testing.assert_allclose(
            table[name] / scale, value / scale, rtol=0, atol=2e-5, err_msg=name
        )


def test_many_steps_per_call_are_the_same_run(whole, tmp_path):
    folder, wanted, _ = whole
    table, _, _ = run(training(inner_steps=100), tmp_path)
    for name, value in wanted.items():
        np.testing.assert_array_equal(table[name], value, err_msg=name)
    timeless = [
        [
            {**json.loads(line), "time": None, "machine": None}
            for line in text.splitlines()
        ]
        for text in (
            (path / "metrics.jsonl").read_text() for path in (folder, tmp_path)
        )
    ]
    assert timeless[0] == timeless[1]


def test_a_finished_run_does_nothing(whole):
    folder, wanted, _ = whole
    before = (folder / "metrics.jsonl").read_text()
    table, said, more = run(training(), folder)
    assert not more
    assert not any("resuming" in line for line in said)
    assert (folder / "metrics.jsonl").read_text() == before
    np.testing.assert_array_equal(table["bank/rows"], wanted["bank/rows"])


def test_starts_from_the_weights_of_another_run(whole, tmp_path):
    folder, wanted, _ = whole
    made = training(
        functools.partial(CLASSIFIER, fine_tune_after_block=4, zero_init=True),
        initialize=str(folder),
        augmentation=CropFlip(size=8),
    )
    table, said, _ = run(made, tmp_path)
    assert any("from scratch: classifier, optimizer, step" in line for line in said)
    for name in (name for name in wanted if name.startswith("encoder/")):
        np.testing.assert_array_equal(table[name], wanted[name])
    assert np.any(table["classifier/kernel"])


def test_another_model_in_the_folder_is_refused(whole):
    folder, _, _ = whole
    with pytest.raises(UserError, match=r"is a checkpoint of another model: .*lacks"):
        run(training(CLASSIFIER), folder)


def test_an_untrained_encoder_is_that_of_the_start(whole):
    made = training()
    start = made.state.table["encoder/layer/conv/kernel"].numpy()
    made.state.table["encoder/layer/conv/kernel"].assign(0 * start)
    fresh = made.untrained_encoder()
    kernel = next(v for v in fresh.variables if v.path.endswith("conv/kernel"))
    np.testing.assert_array_equal(kernel, start)


def test_a_reporter_refuses_before_anything_is_built():
    from sslkit.reporters.wandb import WandB

    class Missing(WandB):
        def check(self):
            raise UserError("pip install it")

    made = training(functools.partial(pytest.fail, "built"), reporters=[Missing()])
    with pytest.raises(UserError, match="pip install it"):
        made.check()


def test_sets_up_devices_before_it_opens_data():
    """Data may start TensorFlow, after which a CPU cannot be split any more."""
    order = []

    class Watched(Single):
        @property
        def strategy(self):
            order.append("devices")
            return super().strategy

    class WatchedData:
        connection = None

        def source(self, part):
            order.append("data")
            return data(name="digits").source(part)

    training(runner=Watched(), data=WatchedData()).check()
    assert order[0] == "devices"


def test_counts_epochs_in_examples():
    # floor(2 x 1437 / 16) + 1
    assert training(steps=None, epochs=2).steps == 180
    assert training(steps=4, epochs=2).steps == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": None}, r"bind train\.epochs or train\.steps"),
        ({"restore": ["encoder/"]}, r"train\.restore says what is taken from another"),
        ({"variable_schema": ".*"}, r"train\.variable_schema says what is taken from"),
        ({"steps": 0}, r"Training\.steps is 0; it must be .* 1 or more"),
        ({"batch_size": 0}, r"Training\.batch_size is 0"),
        ({"log_every": 0}, r"Training\.log_every is 0"),
        ({"checkpoint_every": -1}, r"Training\.checkpoint_every is -1"),
        ({"inner_steps": 0}, r"Training\.inner_steps is 0"),
    ],
)
def test_refuses_numbers_out_of_range(options, message):
    with pytest.raises(UserError, match=message):
        training(**options)


def test_refuses_a_batch_that_cannot_be_divided_equally():
    with pytest.raises(UserError, match=r"batch_size 15 cannot be divided .* 14 or 16"):
        training(batch_size=15, replicas=2).check()


def test_refuses_views_of_another_method():
    with pytest.raises(
        UserError, match=r"toy wants instance x 2; .* makes instance x 1"
    ):
        training(augmentation=CropFlip(size=8)).check()


def test_refuses_a_classifier_with_too_few_columns():
    few = functools.partial(Supervised, TinyBackbone, classes=3)
    with pytest.raises(UserError, match=r"10 classes and objective supervised 3\. Set"):
        training(few).check()


class PartlyLabelled(Pictures):
    """Labels only at the given indices."""

    def __init__(self, *, labelled):
        super().__init__(size=40)
        self._kept = tf.reduce_any(tf.range(40)[:, None] == list(labelled), axis=1)

    def example(self, index):
        image, label = super().example(index)
        return image, tf.where(self._kept[index], label, -1)


def labelled_in_part(labelled):
    """Makes a run of a classifier on images, some of which have a label."""
    made = training(CLASSIFIER)
    made.source = PartlyLabelled(labelled=labelled)
    return made


def test_refuses_a_classifier_where_nothing_has_a_label(tmp_path):
    made = labelled_in_part([-7])
    for start in (made.check, lambda: run(made, tmp_path)):
        with pytest.raises(UserError, match="none: 0 of 40 examples have a label"):
            start()
    assert not list(tmp_path.iterdir())


def length_line(run):
    (line,) = [line for line in run.describe() if line.startswith("length: ")]
    return line


def test_says_how_many_labels_there_are_if_some_are_missing():
    line = length_line(labelled_in_part(range(12)))
    assert line.endswith("epochs of 40 examples (12 of 40 examples have a label)")
    assert "label" not in length_line(labelled_in_part(range(40)))
    # An objective that reads no labels prints nothing about them.
    plain = training()
    plain.source = PartlyLabelled(labelled=range(12))
    assert "label" not in length_line(plain)


def test_refuses_to_restore_without_a_run_to_start_from(tmp_path):
    with pytest.raises(UserError, match="no checkpoint at"):
        training(initialize=str(tmp_path)).check()


def test_a_run_with_checkpoints_of_its_own_does_not_miss_its_start(tmp_path):
    training(initialize=str(tmp_path)).check(fresh=False)
