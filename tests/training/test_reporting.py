"""Reporters receive everything, and their errors do not end a run."""

from __future__ import annotations

import json

import pytest
import tensorflow as tf

from sslkit.api import Reporter, RunInfo, UserError
from sslkit.reporters import MetricsFile, TensorBoard
from sslkit.training import reporting
from sslkit.training.actions import Moment
from sslkit.training.reporting import Reporting, Views, chosen, settings
from sslkit.views import CropFlip


def info(folder):
    return RunInfo(str(folder), 0, 20, "", {}, {})


class Heard(Reporter):
    """Records its calls; raises in the named ones."""

    def __init__(self, *raising, error=RuntimeError):
        self._raising = raising
        self._error = error
        self.calls = []

    def _called(self, name, *what):
        self.calls.append((name, *what))
        if name in self._raising:
            raise self._error(f"no {name} at https://me:word@host")

    def open(self, run):
        self._called("open", run.start)

    def write(self, step, metrics, *, time, machine):
        self._called("write", step, dict(metrics), time, dict(machine))

    def picture(self, name, png, *, step):
        self._called("picture", name, png, step)

    def result(self, run, result):
        self._called("result", result)

    def close(self):
        self._called("close")


def report(*reporters, folder="W"):
    said = []
    log = Reporting(reporters, info(folder), say=said.append, clock=lambda: 12.5)
    with log:
        log.write(10, {"loss": 1.5}, {"device": "CPU"})
        log.write(20, {"loss": 0.5})
        log.picture("views", b"png", step=0)
    log.result({"rows": []})
    return said


def test_all_reporters_receive_the_same():
    one, two = Heard(), Heard()
    assert report(one, two) == []
    assert one.calls == two.calls
    assert one.calls == [
        ("open", 0),
        ("write", 10, {"loss": 1.5}, 12.5, {"device": "CPU"}),
        ("write", 20, {"loss": 0.5}, 12.5, {}),
        ("picture", "views", b"png", 0),
        ("close",),
        ("result", {"rows": []}),
    ]


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, UserError])
def test_a_reporter_that_raises_does_not_end_the_run_and_is_printed_once(error):
    loud, quiet = Heard("write", "close", error=error), Heard()
    assert report(loud, quiet) == [
        f"note: the reporter Heard failed ({error.__name__}: no write at "
        "https://***@host). The run goes on; further errors of this reporter are not "
        "shown."
    ]
    assert len(loud.calls) == len(quiet.calls) == 6


def test_one_that_cannot_be_opened_is_left_out():
    loud = Heard("open")
    (line,) = report(loud)
    assert "no open" in line
    assert loud.calls == [("open", 0)]


def test_an_exception_that_stops_a_run_is_not_caught():
    with pytest.raises(KeyboardInterrupt):
        report(Heard("write", error=KeyboardInterrupt))


def test_the_run_ends_where_its_own_record_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"metrics\.jsonl cannot be written"):
        report(MetricsFile(), folder=tmp_path / "file")


def test_the_record_is_kept_whatever_is_bound(tmp_path):
    kinds = [type(one) for one in chosen(None)]
    assert kinds == [MetricsFile, TensorBoard]
    assert [type(one) for one in chosen(())] == [MetricsFile]
    assert [type(one) for one in chosen((MetricsFile(), Heard()))] == [
        MetricsFile,
        Heard,
    ]
    report(*chosen(()), folder=tmp_path)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"step": 10, "time": 12.5, "loss": 1.5, "machine": {"device": "CPU"}},
        {"step": 20, "time": 12.5, "loss": 0.5},
    ]


def test_settings_are_the_bindings_line_by_line():
    text = "# Resolved.\n\ndata.name = 'digits'\ntrain.seed = 1\n"
    text += "train.keep = (1, 2)\ntrain.runner = @runners.single()\na/b.on = True\n"
    assert settings(text) == {
        "data.name": "digits",
        "train.seed": 1,
        "train.keep": "(1, 2)",
        "train.runner": "@runners.single()",
        "a/b.on": True,
    }


def views(source, start, heard, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        reporting.contact_sheet,
        "lines",
        lambda *args, **named: drawn.append(named) or ["sheet"],
    )

    def write(sheet, path):
        with open(path, "wb") as file:
            file.write(b"png")

    monkeypatch.setattr(reporting.contact_sheet, "write", write)
    log = Reporting([heard], info("W"))
    action = Views(source, CropFlip(size=8), seed=3, start=start).to(log)
    for step in (99, 100, 200):
        action.run(Moment(step))
    return drawn


def test_views_are_drawn_once_when_the_run_is_under_way(monkeypatch):
    heard = Heard()
    (drawn,) = views(None, 50, heard, monkeypatch)
    assert drawn == {"count": 4, "seed": 3}
    assert heard.calls == [("picture", "views", b"png", 0)]


def test_views_are_not_drawn_again_by_a_run_that_goes_on(monkeypatch):
    assert views(None, 100, Heard(), monkeypatch) == []


def test_a_contact_sheet_is_a_picture(tmp_path):
    from sslkit.data import data

    heard = Heard()
    source = data(name="digits").source("train")
    action = Views(source, CropFlip(size=8), seed=3, start=0, after=1, images=1)
    action.to(Reporting([heard], info(tmp_path))).run(Moment(1))
    ((name, what, png, step),) = heard.calls
    assert (name, what, step) == ("picture", "views", 0)
    assert tf.io.decode_png(png).shape[2] == 4


def test_views_that_cannot_be_drawn_do_not_end_the_run(monkeypatch):
    def lines(*args, **named):
        raise UserError("matplotlib is not there")

    monkeypatch.setattr(reporting.contact_sheet, "lines", lines)
    said, heard = [], Heard()
    log = Reporting([heard], info("W"), say=said.append)
    Views(None, CropFlip(size=8), seed=3, start=0, after=1).to(log).run(Moment(1))
    assert heard.calls == []
    assert said == [
        "note: no picture of the views: matplotlib is not there",
    ]
