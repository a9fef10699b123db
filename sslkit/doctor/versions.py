"""Versions of packages, and which of them do not work together."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sslkit import environment
from sslkit.doctor.finding import Finding

PACKAGES = (
    "sslkit",
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow-gpu",
    "tf-nightly",
    "tf-nightly-cpu",
    "tensorflow-tpu",
    "libtpu",
    "libtpu-nightly",
    "keras",
    "tf-keras",
    "numpy",
    "protobuf",
    "tensorflow-datasets",
    "tensorflow-metadata",
    "gin-config",
    "gin",
    "h5py",
    "matplotlib",
    "scikit-learn",
    "scipy",
    "stevedore",
    "rich",
    "packaging",
    "threadpoolctl",
    "nvidia-cudnn-cu12",
    "nvidia-cuda-runtime-cu12",
    "nvidia-cublas-cu12",
    "nvidia-nccl-cu12",
    "tf2onnx",
    "onnxruntime",
    "wandb",
    "tensorboard",
)
"""Distributions whose versions matter."""

_OF_TENSORFLOW = (
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow-gpu",
    "tf-nightly",
    "tf-nightly-cpu",
)
_CHECKED = ("sslkit", "tensorflow", "keras", "tensorflow-datasets")
"""Distributions whose own requirements are checked."""


class Clash(NamedTuple):
    """Versions that do not work together, although their packages allow them."""

    versions: Mapping[str, str]
    """Distribution -> the versions of it that clash with the others, as pip writes it.
    """
    said: str
    """What happens, and the next move."""


CLASHES = (
    Clash(
        {"tensorflow-metadata": ">1.17.3", "protobuf": "<6.31.1"},
        "no dataset of TensorFlow Datasets can be opened, because tensorflow-metadata "
        "is made with protobuf 6.31.1. pip install 'protobuf>=6.31.1', or "
        "'tensorflow-metadata<=1.17.3' if TensorFlow needs an older protobuf",
    ),
    Clash(
        {"tensorflow-datasets": ">=4.9.7,<4.9.10", "protobuf": ">=7"},
        "datasets that name their file format cannot be opened. pip install "
        "'tensorflow-datasets>=4.9.10'",
    ),
    Clash(
        {"scikit-learn": "<1.4.2", "numpy": ">=2"},
        "scikit-learn cannot be imported. pip install 'scikit-learn>=1.4.2'",
    ),
    Clash(
        {"gin-config": ">=0", "gin": ">=0"},
        "there are two modules `gin`, and one hides the other. pip uninstall gin, then "
        "pip install --force-reinstall gin-config",
    ),
)
"""Each of these failures was seen."""


def check_versions() -> Iterator[Finding]:
    """Checks Python's version and the installed packages, and finds clashes."""
    found = environment.versions(PACKAGES)
    yield _python(sys.version_info[:2])
    shown = ("sslkit", "tensorflow", "keras", "numpy", "protobuf")
    yield Finding(
        "ok", "versions", ", ".join(f"{n} {found[n]}" for n in shown if n in found)
    )
    yield from unmet(
        {
            name: importlib.metadata.requires(name) or []
            for name in _CHECKED
            if name in found
        }
    )
    yield from clashes(found)


def _python(version: tuple[int, int]) -> Finding:
    said = f"{version[0]}.{version[1]} ({sys.executable})"
    if (3, 11) <= version < (3, 14):
        return Finding("ok", "Python", said)
    return Finding("broken", "Python", f"{said}; sslkit needs 3.11 to 3.13")


def unmet(requirements: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Finds the requirements of distributions that the installed packages do not meet.

    Args:
        requirements: distribution -> its `Requires-Dist` lines.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    for owner, lines in requirements.items():
        for line in lines:
            try:
                wanted = Requirement(line)
            except InvalidRequirement:
                continue
            if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
                continue
            there = environment.version(wanted.name)
            if there is None:
                said = f"{owner} needs {wanted.name}, which is not installed"
            elif not wanted.specifier.contains(there, prereleases=True):
                said = f"{owner} needs {wanted.name}{wanted.specifier}, not {there}"
            else:
                continue
            fix = f"pip install '{wanted.name}{wanted.specifier}'"
            yield Finding("broken", "requirements", f"{said}. {fix}")


def clashes(versions: Mapping[str, str]) -> Iterator[Finding]:
    """Finds versions that do not work together.

    Args:
        versions: distribution -> version, for those that are installed.
    """
    from packaging.specifiers import SpecifierSet

    several = [name for name in _OF_TENSORFLOW if name in versions]
    if not several:
        yield Finding(
            "broken", "TensorFlow", "it is not installed. pip install sslkit, or '.'"
        )
    if len(several) > 1:
        yield Finding(
            "broken",
            "TensorFlow",
            f"{' and '.join(several)} are installed in the same place. pip uninstall "
            f"{' '.join(several)}, then pip install the one that you want",
        )
    for clash in CLASHES:
        if all(
            name in versions
            and SpecifierSet(which).contains(versions[name], prereleases=True)
            for name, which in clash.versions.items()
        ):
            names = " and ".join(f"{name} {versions[name]}" for name in clash.versions)
            yield Finding("broken", "versions", f"with {names} {clash.said}")
    yield from _tpu(versions, several)


def _tpu(versions: Mapping[str, str], several: Iterable[str]) -> Iterator[Finding]:
    wheel = versions.get("tensorflow-tpu")
    if wheel is None:
        return
    for name in several:
        if versions[name].split(".")[:2] != wheel.split(".")[:2]:
            yield Finding(
                "broken",
                "TPU",
                f"tensorflow-tpu {wheel} and {name} {versions[name]} must have the "
                "same version. pip install 'sslkit[tpu]' in a new environment",
            )
    if "libtpu" not in versions and "libtpu-nightly" not in versions:
        yield Finding(
            "broken",
            "TPU",
            f"tensorflow-tpu {wheel} without libtpu finds no TPU. pip install "
            "'sslkit[tpu]'",
        )
