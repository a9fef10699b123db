"""Messages of errors in one line."""

from __future__ import annotations

import pytest
import tensorflow as tf

from sslkit.errors import UserError, first_line


def test_the_prefix_of_autograph_is_left_out():
    @tf.function
    def traced():
        if tf.constant(True):
            raise UserError("no gradient reaches it. Use it in the loss.")

    with pytest.raises(UserError) as error:
        traced()
    assert str(error.value) == "no gradient reaches it. Use it in the loss."


def test_the_words_that_keras_puts_before_an_error_are_left_out():
    said = (
        "Exception encountered when calling Mine.call().\n\n"
        "\x1b[1mno attribute 'numpy'.\x1b[0m\n\nArguments received by Mine.call():"
    )
    assert first_line(AttributeError(said)) == "no attribute 'numpy'"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one.\ntwo"), "one"),
        (ValueError(), "ValueError"),
        (FileNotFoundError(2, "No such file", "a.txt"), "No such file"),
    ],
)
def test_the_first_line(error, line):
    assert first_line(error) == line


def test_what_is_quoted_may_be_of_any_length():
    text = str(UserError(f"x is {'9' * 5000}; it must be 1. Set x = 1."))
    assert text.startswith("x is 999")
    assert text.endswith("99; it must be 1. Set x = 1.")
    assert len(text) < 300
    assert len(str(UserError("many words " * 5000))) < 5000


def test_a_long_path_is_whole():
    path = "/" + "folder/" * 120
    assert str(UserError(f"{path} is no folder")) == f"{path} is no folder"
