"""The event files, read by TensorBoard's readers."""

from __future__ import annotations

import math

import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from sslkit.api import RunInfo
from sslkit.reporters import TensorBoard, accuracies
from sslkit.reporters.hparams import begin, end

RESULT = {
    "step": 20,
    "rows": [
        {
            "protocol": "kNN (k=20, T=0.07)",
            "representation": "trained encoder",
            "top1": 0.5,
            "top5": 0.75,
        }
    ],
}


def run(folder, start=0, steps=20):
    return RunInfo(
        workdir=str(folder),
        start=start,
        steps=steps,
        config="train.seed = 1\ndata.name = 'digits'\n",
        settings={"train.seed": 1, "data.name": "digits"},
        facts={"tensorflow": "2.21", "devices": "CPU:0"},
    )


def events(folder) -> list:
    return [
        tf.compat.v1.Event.FromString(record.numpy())
        for path in sorted((folder / "tensorboard").glob("events.out.tfevents.*"))
        for record in tf.data.TFRecordDataset(str(path))
    ]


def values(folder, plugin) -> list[tuple]:
    return [
        (event.step, value.tag, tf.make_ndarray(value.tensor).tolist())
        for event in events(folder)
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == plugin
    ]


def report(folder, metrics, *, start=0, step=10, machine=None):
    board = TensorBoard()
    board.open(run(folder, start))
    board.write(step, metrics, time=12.5, machine=machine or {})
    board.close()


def test_numbers_are_curves_and_texts_of_the_machine_are_not(tmp_path):
    report(tmp_path, {"loss": 1.5}, machine={"device": "CPU", "speed": 7.0})
    assert values(tmp_path, "scalars") == [
        (10, "loss", 1.5),
        (10, "machine/speed", 7.0),
    ]
    first, *rest = events(tmp_path)
    assert first.file_version == "brain.Event:2"
    assert rest[-1].wall_time == 12.5
    assert rest[-1].summary.value[0].tensor.dtype == tf.float32.as_datatype_enum


def test_numbers_that_are_not_finite_are_written_as_they_are(tmp_path):
    report(tmp_path, {"loss": math.nan, "norm": math.inf})
    (_, _, loss), (_, _, norm) = values(tmp_path, "scalars")
    assert math.isnan(loss) and math.isinf(norm)


def test_a_run_that_goes_on_has_later_steps_purged(tmp_path):
    for start in (0, 20):
        report(tmp_path, {"loss": 1.0}, start=start, step=start + 10)
    starts = [event for event in events(tmp_path) if event.HasField("session_log")]
    assert [(s.step, s.session_log.status) for s in starts] == [
        (21, tf.compat.v1.SessionLog.START)
    ]


def test_a_run_that_was_killed_before_its_first_checkpoint_is_not_shown_twice(tmp_path):
    for step in (10, 5):
        report(tmp_path, {"loss": 1.0}, start=0, step=step)
    starts = [event for event in events(tmp_path) if event.HasField("session_log")]
    assert [event.step for event in starts] == [1]


def test_the_configuration_and_what_it_ran_on_are_texts(tmp_path):
    report(tmp_path, {})
    (_, about, facts), (_, name, config) = values(tmp_path, "text")
    assert (about, name) == ("about", "configuration")
    assert b"| tensorflow | 2.21 |\n| devices | CPU:0 |" in facts
    assert config == b"    train.seed = 1\n    data.name = 'digits'\n"


def test_a_picture_is_one_with_its_size(tmp_path):
    png = tf.io.encode_png(tf.zeros([2, 3, 3], tf.uint8)).numpy()
    board = TensorBoard()
    board.open(run(tmp_path))
    board.picture("views", png, step=0)
    board.close()
    assert values(tmp_path, "images") == [(0, "views", [b"3", b"2", png])]


@pytest.fixture(scope="module")
def plugin_data():
    """The part of TensorBoard's HParamsPluginData that is written."""
    proto = descriptor_pb2.FileDescriptorProto(
        name="hparams_for_a_test.proto", package="t", syntax="proto3"
    )
    proto.dependency.append("google/protobuf/struct.proto")
    kinds = descriptor_pb2.FieldDescriptorProto

    def message(name, *fields):
        made = proto.message_type.add(name=name)
        for field, number, kind, of in fields:
            made.field.add(name=field, number=number, type=kind, type_name=of, label=1)
        return made

    value = ".google.protobuf.Value"
    start = message("Start", ("start_time_secs", 5, kinds.TYPE_DOUBLE, None))
    entry = start.nested_type.add(name="HparamsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=1)
    entry.field.add(
        name="value", number=2, type=kinds.TYPE_MESSAGE, type_name=value, label=1
    )
    start.field.add(
        name="hparams",
        number=1,
        type=kinds.TYPE_MESSAGE,
        type_name=".t.Start.HparamsEntry",
        label=3,
    )
    message(
        "End",
        ("status", 1, kinds.TYPE_INT32, None),
        ("end_time_secs", 2, kinds.TYPE_DOUBLE, None),
    )
    message(
        "Data",
        ("session_start_info", 3, kinds.TYPE_MESSAGE, ".t.Start"),
        ("session_end_info", 4, kinds.TYPE_MESSAGE, ".t.End"),
    )
    pool = descriptor_pool.DescriptorPool()
    from google.protobuf import struct_pb2

    pool.AddSerializedFile(struct_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(proto.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Data"))


def test_hyperparameters_are_what_the_hparams_page_reads(plugin_data):
    long = "x" * 300  # a length of two bytes
    value = begin({"a.rate": 0.5, "b.on": True, "c.name": long}, 12.5)
    assert value.tag == "_hparams_/session_start_info"
    assert value.metadata.plugin_data.plugin_name == "hparams"
    found = plugin_data.FromString(value.metadata.plugin_data.content)
    start = found.session_start_info
    assert start.start_time_secs == 12.5
    assert start.hparams["a.rate"].number_value == 0.5
    assert start.hparams["b.on"].bool_value is True
    assert start.hparams["c.name"].string_value == long

    value = end(13.5)
    assert value.tag == "_hparams_/session_end_info"
    found = plugin_data.FromString(value.metadata.plugin_data.content)
    assert found.session_end_info.status == 1  # success
    assert found.session_end_info.end_time_secs == 13.5


def test_accuracies_are_curves_and_take_nothing_back(tmp_path):
    report(tmp_path, {"loss": 1.0}, step=20)
    TensorBoard().result(run(tmp_path, start=20), RESULT)
    name = "result/trained_encoder/kNN_k_20_T_0.07"
    assert values(tmp_path, "scalars")[1:] == [
        (20, f"{name}/top1", 0.5),
        (20, f"{name}/top5", 0.75),
    ]
    assert not any(event.HasField("session_log") for event in events(tmp_path))
    tags = [tag for _, tag, _ in values(tmp_path, "hparams")]
    assert tags == ["_hparams_/session_start_info", "_hparams_/session_end_info"]


def test_an_unfinished_run_has_no_end(tmp_path):
    TensorBoard().result(run(tmp_path, start=10), RESULT)
    assert values(tmp_path, "hparams") == []


def test_accuracies_have_short_names():
    assert accuracies(RESULT) == {
        "result/trained_encoder/kNN_k_20_T_0.07/top1": 0.5,
        "result/trained_encoder/kNN_k_20_T_0.07/top5": 0.75,
    }
