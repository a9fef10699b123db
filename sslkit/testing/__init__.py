"""Laws: tests that every plugin of a kind must pass.

    @sslkit.testing.laws(FNC, support=2, topk=2, bank=6)
    def test_law(law):
        law()

The laws of objectives run in float64; `sslkit.nn.full_dtype` says what to cast to. Laws
of style, `style_laws`, are separate: a plugin that breaks one may still be correct.

Each law is a function of a subject, in the module of its kind. Its docstring names the
bug that it prevents, and its failure says how to repair the plugin.
"""

from sslkit.deprecation import old_names
from sslkit.runners.mirrored import split_cpu
from sslkit.testing.backbone import TinyBackbone
from sslkit.testing.decorator import (
    RULES,
    STYLE,
    laws,
    laws_of,
    style_laws,
    style_laws_of,
)
from sslkit.testing.law import Broken, Law, Subject
from sslkit.testing.short_run import ShortRun
from sslkit.testing.toy import ToyMoCo, train_on

__getattr__ = old_names(
    __name__,
    {"Rehearsal": ("sslkit.testing.ShortRun", ShortRun)},
    gone_in="sslkit 0.3",
)

__all__ = [
    "RULES",
    "STYLE",
    "Broken",
    "Law",
    "ShortRun",
    "Subject",
    "TinyBackbone",
    "ToyMoCo",
    "laws",
    "laws_of",
    "split_cpu",
    "style_laws",
    "style_laws_of",
    "train_on",
]
