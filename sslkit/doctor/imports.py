"""Whether TensorFlow and Keras can be imported, and compute on the devices."""

from __future__ import annotations

import glob
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sslkit import environment
from sslkit.doctor.children import Step
from sslkit.doctor.finding import Finding

_NVIDIA = "/dev/nvidia[0-9]*"
_ACCELERATORS = ("/dev/accel[0-9]*", "/dev/vfio/[0-9]*")
_SECONDS = 20


class Card(NamedTuple):
    """A GPU as its driver reports it."""

    name: str
    total: int
    """MiB of memory."""
    used: int
    """MiB of memory in use."""
    driver: str
    """Version of the driver."""


def check_imports(steps: Sequence[Step]) -> Iterator[Finding]:
    """Turns the steps of the probe `tensorflow` into findings."""
    for step in steps:
        if step.error is not None:
            verb = "stops" if step.name == "process" else f"in {step.name}:"
            yield Finding("broken", _about(step.name), f"{verb} {step.error}")
    seconds = sum(
        step.seconds for step in steps if step.name in ("tensorflow", "keras")
    )
    ok = {step.name: step.found for step in steps if step.error is None}
    if "tensorflow" in ok and "keras" in ok:
        keras = ok["keras"]
        yield Finding(
            "ok",
            "import",
            f"TensorFlow {ok['tensorflow']} and Keras {keras['version']} on "
            f"{keras['backend']}, in {seconds:.1f} s",
        )
    if "devices" in ok:
        names = [_device(device) for device in ok["devices"]]
        yield Finding("ok", "devices", ", ".join(names))
    computed = [name.removeprefix("compute ") for name in ok if name.startswith("comp")]
    if computed:
        yield Finding(
            "ok", "arithmetic", f"a convolution is correct on {', '.join(computed)}"
        )


def _about(step: str) -> str:
    return "devices" if step.startswith(("compute", "devices")) else "import"


def _device(device: Mapping[str, Any]) -> str:
    return str(device.get("device_name", device["type"]))


def build_of(steps: Iterable[Step]) -> dict[str, Any]:
    """Returns `tf.sysconfig.get_build_info()`; empty if the probe did not get to it."""
    return next((dict(s.found) for s in steps if s.name == "build" and s.found), {})


def check_accelerators(
    steps: Sequence[Step],
    *,
    cards: Sequence[Card] | None = None,
    cuda: str | None = None,
    tpus: int | None = None,
) -> Iterator[Finding]:
    """Compares the accelerators of the machine with those that TensorFlow sees.

    Args:
        steps: the steps of the probe `tensorflow`.
        cards: the GPUs; if None, the driver is asked.
        cuda: the newest CUDA version that the driver supports, such as `12.4`.
        tpus: the number of TPU devices of the system; if None, they are counted.
    """
    if cards is None:
        cards, cuda = read_cards()
        if not cards and glob.glob(_NVIDIA):
            yield Finding(
                "broken",
                "GPU",
                "there is an NVIDIA device, but nvidia-smi does not answer: the driver "
                "is missing or hangs, or this container may not use it",
            )
    seen = next((s.found for s in steps if s.name == "devices" and s.found), None)
    build = build_of(steps)
    if cards and seen is not None:
        gpus = sum(device["type"] == "GPU" for device in seen)
        yield from _gpus(cards, gpus, build, cuda)
    for number, card in enumerate(cards):
        said = (
            f"{number}: {card.name}, {card.used:,} of {card.total:,} MiB in use, "
            f"driver {card.driver}"
        )
        busy = card.used > card.total / 2
        yield Finding("note" if busy else "ok", "GPU", said)
    if tpus is None:
        tpus = sum(len(glob.glob(pattern)) for pattern in _ACCELERATORS)
    if tpus and environment.version("tensorflow-tpu") is None:
        yield Finding(
            "note",
            "TPU",
            f"{tpus} device(s) may be TPUs, but tensorflow-tpu is not installed. "
            "pip install 'sslkit[tpu]'",
        )


def _gpus(
    cards: Sequence[Card], seen: int, build: Mapping[str, Any], cuda: str | None
) -> Iterator[Finding]:
    wanted = str(build.get("cuda_version", ""))
    if not build.get("is_cuda_build"):
        yield Finding(
            "broken",
            "GPU",
            f"there are {len(cards)} GPU(s), but this TensorFlow is built without "
            "CUDA. pip install 'tensorflow[and-cuda]'",
        )
    elif seen == 0:
        yield Finding(
            "broken",
            "GPU",
            f"there are {len(cards)} GPU(s), but TensorFlow sees none. It is built for "
            f"CUDA {wanted} and cuDNN {build.get('cudnn_version')}: pip install "
            "'tensorflow[and-cuda]' installs both; check CUDA_VISIBLE_DEVICES and "
            "LD_LIBRARY_PATH, too",
        )
    elif seen < len(cards):
        yield Finding("note", "GPU", f"TensorFlow sees {seen} of {len(cards)} GPUs")
    if cuda and wanted and _major(cuda) < _major(wanted):
        yield Finding(
            "broken",
            "GPU",
            f"the driver supports CUDA up to {cuda}, but TensorFlow is built for "
            f"{wanted}. Install a newer driver",
        )
    for package, version in (
        ("nvidia-cudnn-cu12", str(build.get("cudnn_version", ""))),
        ("nvidia-cuda-runtime-cu12", wanted),
    ):
        there = environment.version(package)
        if there and version and _major(there) != _major(version):
            yield Finding(
                "broken",
                "GPU",
                f"{package} is {there}, but TensorFlow is built for {version}. pip "
                "install 'tensorflow[and-cuda]'",
            )


def _major(version: str) -> int:
    found = re.match(r"\d+", version)
    return int(found[0]) if found else 0


def read_cards() -> tuple[list[Card], str | None]:
    """Asks the driver for the GPUs and for the newest CUDA version it supports."""
    fields = "name,memory.total,memory.used,driver_version"
    listed = _smi(f"--query-gpu={fields}", "--format=csv,noheader,nounits")
    cards = []
    for line in listed.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 4 and parts[1].isdigit() and parts[2].isdigit():
            cards.append(Card(parts[0], int(parts[1]), int(parts[2]), parts[3]))
    if not cards:
        return [], None
    found = re.search(r"CUDA Version:\s*([\d.]+)", _smi())
    return cards, found[1] if found else None


def _smi(*options: str) -> str:
    try:
        done = subprocess.run(
            ["nvidia-smi", *options],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
