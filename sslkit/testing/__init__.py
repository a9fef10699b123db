"""The conformance kit: what every plugin must hold to, as tests.

    @sslkit.testing.laws(FNC, support=2, topk=2, bank=6)
    def test_law(law):
        law()

The laws of objectives run in float64; `sslkit.nn.full_dtype` says what to cast to. Laws
of style, `style_laws`, are apart: a plugin that breaks one may still be right.

Each law is a plain function of a subject, in the module of its kind; its docstring
names the bug that it prevents, and its failure says how to mend it.
"""

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
from sslkit.testing.rehearsal import Rehearsal
from sslkit.testing.toy import ToyMoCo, train_on

__all__ = [
    "RULES",
    "STYLE",
    "Broken",
    "Law",
    "Rehearsal",
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
