"""One process of two is killed: the other reports it and ends; both resume later."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from runners.test_two_processes import free_addresses

LIMIT_SECONDS = 300
SETTINGS = {
    "train.runner": "@runners.multiworker()",
    "runners.multiworker.communication": "'ring'",
    "train.steps": "100000",
    "train.batch_size": "16",
    "train.knn_every": "0",
    "train.checkpoint_every": "50",
    "train.log_every": "1",
    "backbones.convnet.filters": "(4, 8)",
    "evaluate.linear": "False",
    "evaluate.baselines": "False",
}


class Two:
    """Two processes of one run, on this machine."""

    def __init__(self, folder, *, steps):
        self.folder = folder
        addresses = free_addresses(2)
        settings = SETTINGS | {
            "train.steps": str(steps),
            "runners.multiworker.workers": repr(addresses),
        }
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        environment.pop("TF_CONFIG", None)
        words = [
            *("train", "--gin", "gin/digits_supervised.gin", "--workdir"),
            *(str(folder / "run"), "--mode", "train", "--extend"),
        ]
        for name, value in settings.items():
            words += ["--set", f"{name} = {value}"]
        self.logs = [(folder / f"{place}.err").open("w") for place in range(2)]
        self.processes = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "sslkit", *words),
                    *("--set", f"runners.multiworker.index = {place}"),
                ],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
            for place, log in enumerate(self.logs)
        ]

    def lines(self):
        path = self.folder / "run" / "metrics.jsonl"
        return path.read_text().splitlines() if path.exists() else []

    def wait_for(self, step):
        deadline = time.monotonic() + LIMIT_SECONDS
        while not self.lines() or json.loads(self.lines()[-1])["step"] < step:
            assert time.monotonic() < deadline, "it never got there"
            assert all(process.poll() is None for process in self.processes)
            time.sleep(0.1)

    def said(self, place):
        """The lines of our command on stderr, without TensorFlow's."""
        lines = (self.folder / f"{place}.err").read_text().splitlines()
        return [line for line in lines if line.startswith("sslkit: ")]

    def end(self):
        for process, log in zip(self.processes, self.logs, strict=True):
            process.kill()
            process.wait()
            log.close()


@pytest.fixture
def two(tmp_path, repository, monkeypatch):
    monkeypatch.chdir(repository)
    started = []

    def start(**options):
        started.append(Two(tmp_path, **options))
        return started[-1]

    yield start
    for one in started:
        one.end()


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_the_other_ends_and_both_go_on(two, lost, tmp_path):
    run = two(steps=100000)
    run.wait_for(60)
    run.processes[lost].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    assert run.processes[1 - lost].wait(timeout=60) == 75
    print(f"ended {time.monotonic() - killed:.1f} s after process {lost} was killed")
    (line,) = run.said(1 - lost)
    assert "another process of this run is gone. Start the same command again" in line
    run.end()
    reached = json.loads(run.lines()[-1])["step"]
    again = two(steps=100000)
    again.wait_for(reached + 20)
    again.end()
