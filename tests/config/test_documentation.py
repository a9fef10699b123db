"""What is read from docstrings."""

from __future__ import annotations

from fake_distribution import install

from sslkit import plugins
from sslkit.config.documentation import about, summary

CODE = """
    class Plain:
        \"\"\"Does one thing
        to an image.

        He et al. 2020 (arXiv:1911.05722, eq. 1), after https://example.org/x.html.

        Args:
            size: in pixels,
                of a side.
            rate (float): how fast.

        Raises:
            UserError: never.
        \"\"\"

        def __init__(self, *, size, rate):
            \"\"\"Keeps the options.\"\"\"

    class Heir(Plain):
        \"\"\"Does it twice.\"\"\"

    class Silent:
        pass
"""


def test_summary_papers_and_arguments_are_read(tmp_path, monkeypatch):
    install(
        tmp_path,
        "acme-words",
        entry_points={},
        modules={"acme_words.py": CODE, "acme_more.py": "from acme_words import Heir"},
    )
    monkeypatch.syspath_prepend(tmp_path)
    plain = about("acme_words:Plain")
    assert plain.summary == "Does one thing to an image."
    assert plain.text.startswith("He et al. 2020")
    assert plain.text.endswith("x.html.")
    assert plain.papers == (
        "https://arxiv.org/abs/1911.05722",
        "https://example.org/x.html",
    )
    assert plain.arguments == {"size": "in pixels, of a side.", "rate": "how fast."}
    assert about("acme_words:Heir").arguments == plain.arguments
    assert about("acme_words:Silent") == about("acme_nowhere:X") == ("", "", (), {})
    for name in ("words:Plain", "words:Heir", "words:Silent", "more:Heir", "none:X"):
        assert summary(f"acme_{name}") == about(f"acme_{name}").summary


def test_the_quick_summary_is_that_of_the_docstring():
    for plugin in plugins.installed():
        assert summary(plugin.value) == about(plugin.value).summary, plugin.title
