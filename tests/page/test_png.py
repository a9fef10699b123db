"""The report as one picture: everything that is written in it can be read."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from page.conftest import result, saved

from sslkit.page import png, report

LINEAR = "linear (logistic regression on frozen features)"


@pytest.fixture
def drawn(make, seen, monkeypatch, tmp_path) -> Figure:
    """The figure of a run with accuracies and a map."""
    seen()
    found = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure,
        "savefig",
        lambda self, *a, **k: (found.append(self), save(self, *a, **k)),
    )
    kinds = ("kNN (k=20, T=0.07)", "kNN (k=200, T=0.07)", LINEAR)
    measured = result()
    measured["rows"] = [
        {**row, "protocol": kind} for kind in kinds for row in measured["rows"][:3]
    ]
    folder = saved(make("photos_2", measured=measured))
    report([str(folder)], say=lambda line: None).save(tmp_path / "x.png")
    return found[-1]  # The others are the curves of the page.


def test_no_text_is_cut_off(drawn):
    texts = [t for t in drawn.findobj(Text) if t.get_visible() and t.get_text()]
    titles = [" ".join(text.get_text().split()) for text in texts]
    assert LINEAR in titles
    for text, title in zip(texts, titles, strict=True):
        assert text.get_window_extent().x1 <= drawn.bbox.x1, title


def test_accuracies_are_in_percent(drawn):
    (axes,) = [
        axes
        for axes in drawn.axes
        if " ".join(axes.get_title(loc="left").split()) == LINEAR
    ]
    assert axes.get_xlim() == (0, 1)
    words = [label.get_text() for label in axes.get_xticklabels()]
    assert (words[0], words[-1]) == ("0%", "100%")


def test_the_colours_of_the_map_are_named(drawn):
    (legend,) = [axes.get_legend() for axes in drawn.axes if axes.get_legend()]
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["red", "<b>green</b>", "blue"]


def test_long_names_of_classes_keep_their_beginning():
    # A name that is one word, as file names often are.
    assert png._short("x" * 30) == "x" * 23 + "…"
    assert png._short("a  cat\nor a dog") == "a cat or a dog"
