"""The conformance kit: what every plugin must hold to, as tests.

    @sslkit.testing.laws(FNC, support=2, topk=2, bank=6)
    def test_law(law):
        law()

Each law is a plain function of a subject, in the module of its kind; its docstring
names the bug that it prevents, and its failure says how to mend it.
"""

from sslkit.runners.mirrored import split_cpu
from sslkit.testing.backbone import TinyBackbone
from sslkit.testing.decorator import RULES, laws, laws_of
from sslkit.testing.law import Broken, Law, Subject
from sslkit.testing.rehearsal import Rehearsal
from sslkit.testing.toy import ToyMoCo, train_on

__all__ = [
    "RULES",
    "Broken",
    "Law",
    "Rehearsal",
    "Subject",
    "TinyBackbone",
    "ToyMoCo",
    "laws",
    "laws_of",
    "split_cpu",
    "train_on",
]
