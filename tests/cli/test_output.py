"""Tables keep their width when the output is piped."""

from __future__ import annotations

import rich.table

from sslkit.cli.output import show


def test_a_wide_table_is_not_cut_when_it_is_piped(capsys):
    table = rich.table.Table()
    for number in range(12):
        table.add_column(f"a wide column {number}", no_wrap=True)
    table.add_row(*[f"a wider cell than that {number}" for number in range(12)])
    show(table)
    text = capsys.readouterr().out
    assert all(f"a wider cell than that {number}" in text for number in range(12))
    assert "…" not in text
    assert len(text.splitlines()) == 5
