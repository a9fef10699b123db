"""docs/write-a-plugin.md: its code runs, and its classes hold to the laws."""

from __future__ import annotations

import pathlib
import re
import shlex
import textwrap
import tomllib

import pytest
import tensorflow as tf

from sslkit import api, plugins
from sslkit.cli.main import main
from sslkit.testing import RULES, laws_of, style_laws_of

REPOSITORY = pathlib.Path(__file__).parent.parent
TEXT = (REPOSITORY / "docs" / "write-a-plugin.md").read_text(encoding="utf-8")
BLOCKS = re.findall(
    r"^(?:<!-- from (\S+) -->\n)?```(\w*)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE
)
NAMES: dict[str, object] = {"__name__": "write_a_plugin"}
for quoted, language, code in BLOCKS:
    if language == "python" and not quoted:
        exec(compile(code, "docs/write-a-plugin.md", "exec"), NAMES)
OPTIONS = {
    "Centred": {"dim": 6},
    "Crops": {"size": 8},
    "Patches": {"width": 4},
    "Lion": {},
    "InverseRoot": {"base": 0.1, "warmup": 10},
    "OnDevice": {},
    "Stripes": {"images": 6},
    "Means": {},
    "Printed": {},
    "Stepped": {"base": 0.1, "factor": 0.5, "every": 10},
}
QUICK = ("InverseRoot", "Stripes", "Means", "Printed", "Stepped")


def made(name: str) -> type:
    return NAMES[name]


def judged():
    for name, options in OPTIONS.items():
        for law in [
            *laws_of(made(name), **options),
            *style_laws_of(made(name), **options),
        ]:
            style = law.name.startswith("docstring")
            marks = () if style or name in QUICK else pytest.mark.slow
            yield pytest.param(law, id=f"{name}-{law.name}", marks=marks)


@pytest.mark.parametrize("law", list(judged()))
def test_law(law):
    law()


class Uniform(api.Objective):
    """Two views together, and all images apart by the document's function."""

    requires = {"instance": 2}  # noqa: RUF012

    def __init__(self, backbone, *, name="uniform"):
        super().__init__(name=name)
        self.encoder = backbone(name="encoder")

    def call(self, batch, *, step):
        first, second = (
            tf.math.l2_normalize(self.encoder(view, training=True), axis=1)
            for view in tf.unstack(batch.views["instance"])
        )
        apart = NAMES["uniformity"](first)
        return api.Outcome(tf.reduce_mean(tf.square(first - second)) + apart, {})


def test_a_loss_that_is_not_a_mean_is_the_same_on_two_replicas():
    # The law compares the trained weights too, so gradients are of the right size.
    laws = {law.name: law for law in laws_of(Uniform)}
    laws["replicas_do_not_change_the_result"]()


def test_every_kind_has_a_section_with_a_class():
    kinds = [getattr(api, base) for base in plugins.KINDS.values()]
    shown = [made(name) for name in OPTIONS]
    classes = {
        value
        for value in NAMES.values()
        if isinstance(value, type)
        and issubclass(value, tuple(kinds))
        and value.__module__ == "write_a_plugin"
    }
    assert classes == set(shown)
    assert set(RULES) == set(kinds)
    for kind in kinds:
        assert f"\n## {kind.__name__}\n" in TEXT
        assert any(issubclass(one, kind) for one in shown)


def test_what_is_quoted_is_the_real_code():
    quotes = [(path, code) for path, _, code in BLOCKS if path]
    assert quotes
    for path, code in quotes:
        compile(code, path, "exec")
        there = (REPOSITORY / path).read_text(encoding="utf-8")
        for method in code.strip().split("\n\n\n"):
            assert textwrap.indent(method, "    ") in there, path


def test_its_commands_and_settings_are_real(capsys):
    for _, language, code in BLOCKS:
        if language == "sh":
            for line in code.splitlines():
                with pytest.raises(SystemExit) as caught:
                    main([*shlex.split(line)[1:], "--help"])
                assert caught.value.code == 0, line
        if language == "toml":
            groups = tomllib.loads(code)["project"]["entry-points"]
            known = {f"sslkit.{kind}" for kind in plugins.KINDS} | {plugins.RENAMED}
            assert set(groups) <= known
