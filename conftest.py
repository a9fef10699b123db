"""Shared fixtures: four logical CPUs, and the data that some tests read."""

from __future__ import annotations

import os
import pathlib

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Commands that tests call run in the tests' own process, which is to stay small.
os.environ.setdefault("SSLKIT_KEEP_MEMORY", "0")
# Nothing of a test stays in the user's folder, or comes from it.
os.environ["SSLKIT_PROGRAMS"] = "off"

_REPOSITORY = pathlib.Path(__file__).resolve().parent
_VARIABLE = "SSLKIT_TEST_DATA"


def pytest_configure() -> None:
    """Ends the session before any test if it was pointed at data that is not there."""
    if _VARIABLE in os.environ and not _root().is_dir():
        raise pytest.UsageError(
            f"{_VARIABLE} is {os.environ[_VARIABLE]!r}, and {_root()} is not a folder. "
            "Point it at the test data, or unset it to skip what needs them."
        )


def _root() -> pathlib.Path:
    beside = str(_REPOSITORY / ".." / "shared")
    return pathlib.Path(os.environ.get(_VARIABLE, beside)).resolve()


def _test_data(part: str) -> pathlib.Path:
    path = _root() / part
    if path.is_dir():
        return path
    if _VARIABLE in os.environ:
        pytest.fail(
            f"{_VARIABLE} is {os.environ[_VARIABLE]!r}, which has no folder {part!r}. "
            "Point it at the test data, or unset it to skip what needs them.",
            pytrace=False,
        )
    pytest.skip(f"{path} is not there; point {_VARIABLE} at the test data")


@pytest.fixture(scope="session")
def golden() -> pathlib.Path:
    """The folder of inputs and outputs of the published implementation."""
    return _test_data("golden")


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """The folder of prepared TFDS datasets."""
    return _test_data("data")


@pytest.fixture(scope="session")
def repository() -> pathlib.Path:
    """The checkout."""
    return _REPOSITORY


@pytest.fixture(scope="session", autouse=True)
def logical_devices():
    """Splits the CPU in four before TensorFlow starts, for multi-replica tests."""
    import gc

    import tensorflow as tf

    # What is imported stays, 400,000 objects: no collection is to look through them.
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 4
    )
    return tf.config.list_logical_devices("CPU")


@pytest.fixture(scope="session")
def mirrored(logical_devices):
    """Returns the session's strategy of so many logical CPUs."""
    import functools

    from sslkit.runners.mirrored import Mirrored

    return functools.cache(lambda replicas: Mirrored(replicas=replicas).strategy)


@pytest.fixture(scope="session")
def two_replicas(mirrored):
    """A strategy of two logical CPUs."""
    return mirrored(2)
