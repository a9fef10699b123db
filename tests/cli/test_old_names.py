"""Options under old names, and the line about each."""

from __future__ import annotations

import argparse

from sslkit.cli.old_names import add_renamed_option, report_old_names


def test_an_option_is_taken_by_its_old_name_with_a_line(capsys):
    parser = argparse.ArgumentParser()
    add_renamed_option(parser, "--to", old="--out", gone_in="acme 2.0")
    with report_old_names():
        assert parser.parse_args(["--to", "a"]).to == "a"
        assert capsys.readouterr().err == ""
        assert parser.parse_args(["--out", "b"]).to == "b"
        parser.parse_args(["--out", "b"])
    assert capsys.readouterr().err == (
        "sslkit: note: --out is now --to; the old name is removed in acme 2.0\n"
    )
