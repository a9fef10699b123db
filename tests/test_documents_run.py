"""The documents' shell and Python blocks run, one page after another in one folder.

Commands that train do four steps on few images in the place of what a recipe says, so
this shows that commands work and that their files are there, not what they measure.
"""

from __future__ import annotations

import shlex
import subprocess

import documents
import numpy as np
import pytest
from documents import PAGES

from sslkit.cli.main import main

# As a reader meets them: later pages use the runs of earlier ones.
ORDER = ("README.md", "docs/start.md", "docs/runs.md", "docs/data.md")
OWN_TESTS = {
    "docs/api.md": "test_public.py",
    "docs/write-a-plugin.md": "test_write_a_plugin.py",
}
"""Pages whose Python is held to more than running, and where."""
README_PYTHON = ("sslkit.train(", "class Mine")
"""What test_readme.py runs."""
SHORT = ("train.steps = 4", "evaluate.train_limit = 64", "evaluate.linear = False")


def pages() -> list[str]:
    names = [documents.name(page) for page in PAGES]
    return [*ORDER, *(name for name in names if name not in ORDER)]


def runnable(page: str) -> list[documents.Block]:
    found = documents.blocks(documents.REPOSITORY / page)
    return [
        block
        for block in found
        if block.runs
        and (
            block.language == "sh"
            or (block.language == "python" and page not in OWN_TESTS)
        )
        and not any(text in block.text for text in README_PYTHON)
    ]


PAGES_THAT_RUN = [page for page in pages() if runnable(page)]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A folder with what README.md's first command leaves, and photographs."""
    folder = tmp_path_factory.mktemp("workspace")
    import tensorflow as tf

    (folder / "photos").mkdir()
    draw = np.random.default_rng(0)
    for number in range(40):
        image = draw.integers(0, 256, [48, 64, 3], dtype=np.uint8)
        tf.io.write_file(
            str(folder / "photos" / f"photo_{number:04}.jpg"), tf.io.encode_jpeg(image)
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        recipe = ["--gin", "gin/fnc_digits_pretrain.gin"]
        run(["train", *recipe, "--workdir", "runs/fnc_digits"])
    return folder


def run(call: list[str]) -> None:
    """Calls sslkit in this process, but shorter."""
    if call[0] in ("train", "sweep"):
        # Epochs beside the steps would be refused.
        longer = [place for place, word in enumerate(call) if "train.epochs" in word]
        assert all(call[place - 1] == "--set" for place in longer)
        left_out = {*longer, *(place - 1 for place in longer)}
        call = [word for place, word in enumerate(call) if place not in left_out]
        call = [*call, *(word for text in SHORT for word in ("--set", text))]
    code = main(call)
    assert code in (0, None), f"sslkit {shlex.join(call)} ended with {code}"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES_THAT_RUN)
def test_page(page, workspace, monkeypatch):
    monkeypatch.chdir(workspace)
    names: dict[str, object] = {}
    for block in runnable(page):
        if block.language == "python":
            exec(compile(block.text, page, "exec"), names)
            continue
        for line in documents.lines(block):
            if line.startswith("sslkit ") and " && " not in line:
                run(shlex.split(line, comments=True)[1:])
            else:
                subprocess.run(["bash", "-euc", line], check=True)


def test_all_pages_with_blocks_that_run_are_known():
    assert set(ORDER) <= set(PAGES_THAT_RUN)
    for test in OWN_TESTS.values():
        assert (documents.REPOSITORY / "tests" / test).exists()
