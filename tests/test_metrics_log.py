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


def test_appends_lines_that_are_there_at_once(tmp_path):
    log = MetricsLog(tmp_path / "run", 0, clock=lambda: 12.5)
    log.write(10, {"loss": np.float32(1.5), "accuracy": tf.constant(0.25)})
    assert lines(tmp_path / "run") == [
        {"step": 10, "time": 12.5, "loss": 1.5, "accuracy": 0.25}
    ]
    log.close()
    log.close()


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


def test_an_incomplete_line_is_dropped_even_if_its_step_is_kept(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 10}\n{"step": 20}')
    with MetricsLog(tmp_path, 20) as log:
        log.write(30, {})
    assert [line["step"] for line in lines(tmp_path)] == [10, 30]


def test_what_is_not_finite_is_null(tmp_path):
    with MetricsLog(tmp_path, 0) as log:
        log.write(1, {"loss": math.nan, "norm": math.inf}, {"speed": math.inf})
    (line,) = lines(tmp_path)
    assert line["loss"] is None and line["norm"] is None
    assert line["machine"] == {"speed": None}


@pytest.mark.parametrize("name", ["step", "time", "machine"])
def test_a_metric_called_as_a_field_is_refused(tmp_path, name):
    with (
        MetricsLog(tmp_path, 0) as log,
        pytest.raises(ValueError, match=f"'{name}' is a field"),
    ):
        log.write(1, {name: 3})


def test_what_differs_in_each_repetition_is_apart(tmp_path):
    with MetricsLog(tmp_path, 0, clock=lambda: 12.5) as log:
        log.write(1, {"loss": 1.0}, {"device": "CPU", "host_memory_bytes": 7})
    assert lines(tmp_path) == [
        {
            "step": 1,
            "time": 12.5,
            "loss": 1.0,
            "machine": {"device": "CPU", "host_memory_bytes": 7},
        }
    ]


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


@pytest.mark.parametrize(
    "damaged", [b"\xff\xfe not text\n", b"[" * 100_000 + b"\n", b'{"step": "x"}\n']
)
def test_a_damaged_line_is_dropped_when_the_run_goes_on(tmp_path, damaged):
    with MetricsLog(tmp_path, 0) as log:
        log.write(1, {"loss": 1.0})
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(damaged + b'{"step": 2, "time": 1}\n{"step": 3')
    with MetricsLog(tmp_path, 2) as log:
        log.write(3, {"loss": 3.0})
    assert [line["step"] for line in lines(tmp_path)] == [1, 2, 3]
