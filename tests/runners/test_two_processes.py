"""A real run of two processes equals a run of one process."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest
from runners.toy_objectives import MAKERS

from sslkit.runners.mirrored import Mirrored
from sslkit.runners.single import Single
from sslkit.testing import train_on
from sslkit.testing.comparison import differences

# Each process imports TensorFlow: 17 s of a core. By default its parts are held by the
# other tests here, and the steps on replicas by the law of Mirrored.
pytestmark = pytest.mark.slow

# The effect of rounding in another order over five steps in float64.
WITHIN = 1e-9
LIMIT_SECONDS = 300
WORKER = pathlib.Path(__file__).with_name("worker.py")


def free_addresses(count):
    """Returns addresses on this machine whose ports were just free."""
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]
    for server in servers:
        server.close()
    return addresses


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder with the results of two processes."""
    folder = tmp_path_factory.mktemp("two")
    workers = ",".join(free_addresses(2))
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("TF_CONFIG", None)
    logs = [(folder / f"log-{place}.txt").open("w") for place in range(2)]
    processes = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(place), workers, str(folder)],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        for place, log in enumerate(logs)
    ]
    try:
        codes = [process.wait(timeout=LIMIT_SECONDS) for process in processes]
    finally:
        for process, log in zip(processes, logs, strict=True):
            process.kill()
            process.wait()
            log.close()
    said = [(folder / f"log-{place}.txt").read_text()[-3000:] for place in range(2)]
    assert codes == [0, 0], "\n".join(said)
    return folder


def load(path):
    with np.load(path) as file:
        return dict(file)


@pytest.mark.parametrize(
    "runner",
    [
        Single(device="CPU:0", jit=False),
        # By the law of runners it equals Single.
        pytest.param(Mirrored(replicas=2), marks=pytest.mark.slow),
    ],
)
def test_trains_like_one_process(folder, runner):
    """Losses, weights, statistics of batches, gradients; FNC's bank and twin too."""
    wanted = train_on(runner, MAKERS["fnc"])
    for place in range(2):
        found = load(folder / f"fnc-{place}.npz")
        # Losses are reported in float32.
        np.testing.assert_allclose(found.pop("losses"), wanted.losses, rtol=1e-6)
        assert found.keys() == wanted.table.keys()
        assert differences(found, wanted.table, within=WITHIN) is None


def test_only_the_chief_writes(folder):
    reports = [json.loads((folder / f"report-{n}.json").read_text()) for n in range(2)]
    assert [report["chief"] for report in reports] == [True, False]
    assert not (folder / "other").exists()
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    saved = sorted(
        path.name for path in (folder / "run" / "checkpoints").glob("*.index")
    )
    assert saved == [f"step_0000000{step}.index" for step in (2, 4, 6)]


def test_all_processes_resume_alike(folder):
    first, second = (load(folder / f"resumed-{place}.npz") for place in range(2))
    assert first["step"] == 6
    assert differences(first, second, within=0) is None


def test_processes_that_found_different_checkpoints_stop(folder):
    for place in range(2):
        said = json.loads((folder / f"report-{place}.json").read_text())["said"]
        assert said == (
            "the processes of this run found different checkpoints: of steps 6, 0. "
            "Give all of them one workdir, on a disk that they share."
        )
