"""Failures while TensorFlow is imported are found from outside the process."""

from __future__ import annotations

import os
import textwrap

import pytest

from sslkit import environment
from sslkit.doctor.children import Step, run_probe
from sslkit.doctor.imports import Card, check_accelerators, check_imports

CRASHES = {
    "raises": (
        "raise ImportError('first\\nlibcudart.so: no such file')",
        "in tensorflow: ImportError: libcudart.so: no such file",
    ),
    "crashes": (
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "in tensorflow: it crashes the process with SIGSEGV",
    ),
    "illegal": (
        "import os, signal; os.kill(os.getpid(), signal.SIGILL)",
        "SIGILL (it needs instructions that this processor does not have)",
    ),
    "exits": (
        "import sys; print('no licence', file=sys.stderr); sys.exit(3)",
        "it ends the process with exit code 3 (no licence)",
    ),
    "quietly": ("import os; os._exit(0)", "in tensorflow: it ends the process"),
    "hangs": ("import time; time.sleep(600)", "does not end within 6 seconds"),
}


@pytest.mark.parametrize("case", CRASHES)
def test_an_import_that_fails_is_reported(tmp_path, case):
    source, words = CRASHES[case]
    (tmp_path / "tensorflow.py").write_text(textwrap.dedent(source))
    variables = {**os.environ, "PYTHONPATH": str(tmp_path)}
    seconds = 6 if case == "hangs" else 60
    steps = run_probe("tensorflow", seconds=seconds, environment=variables)
    assert [step.name for step in steps if step.error is None][:1] == ["numpy"]
    (found,) = (f for f in check_imports(steps) if f.level == "broken")
    assert found.about == "import"
    assert words in found.said


def steps(*devices, build=None):
    built = build or {
        "is_cuda_build": True,
        "cuda_version": "12.5",
        "cudnn_version": "9",
    }
    return [
        Step("tensorflow", None, 2.0, "2.21"),
        Step("build", None, 0.0, built),
        Step("keras", None, 1.0, {"version": "3.15", "backend": "tensorflow"}),
        Step("devices", None, 0.0, list(devices)),
        Step("compute CPU:0", None),
    ]


CPU, GPU = {"type": "CPU"}, {"type": "GPU", "device_name": "NVIDIA A100"}
CARD = Card("NVIDIA A100", 40_000, 10, "550.1")


def test_what_works_is_reported_too():
    found = [(f.level, f.about, f.said) for f in check_imports(steps(CPU, GPU))]
    assert found == [
        ("ok", "import", "TensorFlow 2.21 and Keras 3.15 on tensorflow, in 3.0 s"),
        ("ok", "devices", "CPU, NVIDIA A100"),
        ("ok", "arithmetic", "a convolution is correct on CPU:0"),
    ]


def test_a_device_that_computes_wrongly_is_broken():
    wrong = Step("compute GPU:0", "NotFoundError: no DNN in stream executor")
    (found,) = (
        f for f in check_imports([*steps(CPU, GPU), wrong]) if f.level == "broken"
    )
    assert (found.about, found.said) == (
        "devices",
        "in compute GPU:0: NotFoundError: no DNN in stream executor",
    )


def accelerators(found, cards, cuda="12.5"):
    findings = check_accelerators(found, cards=cards, cuda=cuda, tpus=0)
    return [f.said for f in findings if f.level != "ok"]


def test_a_gpu_that_is_used_is_not_a_problem():
    assert accelerators(steps(CPU, GPU), [CARD]) == []
    assert accelerators(steps(CPU), []) == []


@pytest.mark.parametrize(
    ("found", "cuda", "words"),
    [
        (
            steps(CPU),
            "12.5",
            "TensorFlow sees none. It is built for CUDA 12.5 and cuDN",
        ),
        (steps(CPU, build={"is_cuda_build": False}), "12.5", "built without CUDA"),
        (
            steps(CPU, GPU),
            "11.8",
            "supports CUDA up to 11.8, but TensorFlow is built for",
        ),
    ],
)
def test_a_gpu_that_is_not_used_is_broken(found, cuda, words):
    (line,) = accelerators(found, [CARD], cuda)
    assert words in line


def test_a_wrong_version_of_cudnn_is_broken(monkeypatch):
    there = {"nvidia-cudnn-cu12": "8.9.7"}
    monkeypatch.setattr(environment, "version", there.get)
    (line,) = accelerators(steps(CPU, GPU), [CARD])
    assert line.startswith("nvidia-cudnn-cu12 is 8.9.7, but TensorFlow is built for 9")


def test_a_gpu_that_other_programs_use_is_a_note():
    (line,) = accelerators(steps(CPU, GPU), [CARD._replace(used=30_000)])
    assert "30,000 of 40,000 MiB in use" in line


def test_a_tpu_without_its_package_is_a_note(monkeypatch):
    monkeypatch.setattr(environment, "version", lambda name: None)
    (found,) = check_accelerators(steps(CPU), cards=[], tpus=4)
    assert (found.level, found.about) == ("note", "TPU")
    assert "sslkit[tpu]" in found.said


@pytest.mark.slow
def test_the_imports_of_this_machine_work():
    found = list(check_imports(run_probe("tensorflow", seconds=300)))
    assert [f.about for f in found if f.level == "ok"] == [
        "import",
        "devices",
        "arithmetic",
    ]
    assert not any(f.level == "broken" for f in found)
