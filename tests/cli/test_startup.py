"""What the command does before TensorFlow is imported, in separate processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from sslkit.cli.allocator import VARIABLE, keep_freed_memory
from sslkit.cli.main import main
from sslkit.cli.startup import without
from sslkit.errors import UserError

SIZE = 2**23
GLIBC = bool(
    "CS_GNU_LIBC_VERSION" in os.confstr_names and os.confstr("CS_GNU_LIBC_VERSION")
)

FAULTS = f"""
import ctypes, json, resource
from sslkit.cli.allocator import keep_freed_memory

done = keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]

def touch():
    block = libc.malloc({SIZE})
    ctypes.memset(block, 1, {SIZE})
    libc.free(block)

touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    touch()
after = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(json.dumps([done, after - before]))
"""


def touched_again(**variables: str) -> tuple[bool, int]:
    """Returns the result of `keep_freed_memory`, and page faults of reusing memory."""
    clean = {name: text for name, text in os.environ.items() if name != VARIABLE}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS],
        capture_output=True,
        check=True,
        env={**clean, **variables},
    )
    said, faults = json.loads(done.stdout)
    return said, faults


@pytest.mark.skipif(not GLIBC, reason="the C library is not glibc")
def test_freed_memory_is_used_again():
    pages = 10 * SIZE // os.sysconf("SC_PAGESIZE")
    said, faults = touched_again()
    assert said
    assert faults < pages / 100


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (VARIABLE, "0"),
        ("MALLOC_TRIM_THRESHOLD_", "131072"),
        ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=131072"),
    ],
)
def test_the_allocator_is_not_changed(name, value):
    said, _ = touched_again(**{name: value})
    assert not said


def test_a_value_that_is_not_0_or_1_is_an_error(monkeypatch):
    monkeypatch.setenv(VARIABLE, "yes")
    with pytest.raises(UserError, match=f"{VARIABLE} is 'yes'; it must be 0, to give"):
        keep_freed_memory()


def test_the_command_refuses_it_before_tensorflow(monkeypatch, capsys, tmp_path):
    def start(**options):
        raise AssertionError("TensorFlow was started")

    monkeypatch.setattr("sslkit.cli.main.start_tensorflow", start)
    monkeypatch.setenv(VARIABLE, "2")
    recipe = ["--gin", "gin/fnc_digits_pretrain.gin"]
    assert main(["train", *recipe, "--workdir", str(tmp_path / "w")]) == 2
    assert f"{VARIABLE} is '2'" in capsys.readouterr().err


def test_importing_sslkit_does_not_touch_the_allocator():
    code = "import sys, sslkit; print('sslkit.cli.allocator' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"


def test_hidden_packages_look_absent_and_come_back(tmp_path, monkeypatch):
    (tmp_path / "not_wanted_now.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with without(("not_wanted_now",)), pytest.raises(ImportError):
        import not_wanted_now
    import not_wanted_now

    # A package that is imported already stays, because it may be in use.
    with without(("not_wanted_now",)):
        assert sys.modules["not_wanted_now"] is not_wanted_now
    del sys.modules["not_wanted_now"]


def test_the_command_starts_without_what_keras_does_not_need():
    code = (
        "import sys; from sslkit.cli.startup import start_tensorflow as start; start();"
        "print({'sklearn', 'matplotlib'} & set(sys.modules));"
        "from sslkit.data.digits import Digits; Digits(split='test');"
        "print('sklearn' in sys.modules);"
        "import matplotlib.pyplot, sklearn.linear_model"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.split() == [b"set()", b"False"]
