import json
import math
import resource

import numpy as np
import pytest
import tensorflow as tf

from sslkit.errors import UserError
from sslkit.metrics_log import MetricsLog


def lines(workdir) -> list[dict]:
    text = (workdir / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def events(workdir) -> list:
    found = []
    for path in sorted((workdir / "tensorboard").glob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            found.append(tf.compat.v1.Event.FromString(record.numpy()))
    return found


def scalars(workdir) -> list[tuple]:
    return [
        (event.step, value.tag, float(tf.make_ndarray(value.tensor)))
        for event in events(workdir)
        for value in event.summary.value
    ]


def test_appends_lines_that_are_there_at_once(tmp_path):
    log = MetricsLog(tmp_path / "run", 0, clock=lambda: 12.5)
    log.write(10, {"loss": np.float32(1.5), "accuracy": tf.constant(0.25)})
    assert lines(tmp_path / "run") == [
        {"step": 10, "time": 12.5, "loss": 1.5, "accuracy": 0.25}
    ]
    log.close()
    log.close()


def test_event_files_are_what_tensorboard_reads(tmp_path):
    with MetricsLog(tmp_path, 0, clock=lambda: 12.5) as log:
        log.write(10, {"loss": 1.5})
        log.write(20, {"loss": 0.5})
    first, *rest = events(tmp_path)
    assert first.file_version == "brain.Event:2"
    assert scalars(tmp_path) == [(10, "loss", 1.5), (20, "loss", 0.5)]
    value = rest[0].summary.value[0]
    assert value.metadata.plugin_data.plugin_name == "scalars"
    assert value.tensor.dtype == tf.float32.as_datatype_enum
    assert rest[0].wall_time == 12.5


def test_resuming_drops_steps_that_are_done_again(tmp_path):
    with MetricsLog(tmp_path, 0) as log:
        for step in (10, 20, 30):
            log.write(step, {"loss": 1.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 40, "ti')  # what a killed run leaves
    with MetricsLog(tmp_path, 20) as log:
        log.write(30, {"loss": 2.0})
    assert [(line["step"], line["loss"]) for line in lines(tmp_path)] == [
        (10, 1.0),
        (20, 1.0),
        (30, 2.0),
    ]
    assert [path.name for path in tmp_path.glob("*.partial")] == []


def test_a_cut_line_goes_even_if_its_step_is_kept(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 10}\n{"step": 20}')
    with MetricsLog(tmp_path, 20) as log:
        log.write(30, {})
    assert [line["step"] for line in lines(tmp_path)] == [10, 30]


def test_resuming_tells_tensorboard_to_purge(tmp_path):
    for resume in (0, 20):
        with MetricsLog(tmp_path, resume, clock=lambda: 1.0) as log:
            log.write(resume + 10, {"loss": 1.0})
    starts = [event for event in events(tmp_path) if event.HasField("session_log")]
    assert [(s.step, s.session_log.status) for s in starts] == [
        (21, tf.compat.v1.SessionLog.START)
    ]


def test_what_is_not_finite_is_null_in_json_and_itself_in_tensorboard(tmp_path):
    with MetricsLog(tmp_path, 0) as log:
        log.write(1, {"loss": math.nan, "norm": math.inf})
    (line,) = lines(tmp_path)
    assert line["loss"] is None and line["norm"] is None
    (_, _, loss), (_, _, norm) = scalars(tmp_path)
    assert math.isnan(loss) and math.isinf(norm)


def test_a_metric_called_step_is_refused(tmp_path):
    with (
        MetricsLog(tmp_path, 0) as log,
        pytest.raises(ValueError, match="'step' is a field"),
    ):
        log.write(1, {"step": 3})


@pytest.fixture
def full_disk():
    """The limit on the size of files fails a write as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_line_and_the_record_goes_on_later(tmp_path, full_disk):
    def fill(log):
        for step in range(200):
            log.write(step, {"loss": 1.0})

    with (
        pytest.raises(UserError, match=r"metrics .*metrics.jsonl cannot be written: "),
        MetricsLog(tmp_path, 0) as log,
    ):
        fill(log)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    with MetricsLog(tmp_path, 10) as log:
        log.write(11, {"loss": 2.0})
    assert [line["step"] for line in lines(tmp_path)] == [*range(11), 11]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"metrics\.jsonl cannot be written"):
        MetricsLog(tmp_path / "file", 0)
