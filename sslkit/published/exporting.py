"""Writing a run's variables in the published layout."""

from __future__ import annotations

from sslkit.api import UserError
from sslkit.checkpoints import Table, write
from sslkit.published.architecture import Architecture, recognise
from sslkit.published.names import HEAD, published_names


def write_published(table: Table, prefix: str, *, head: str = HEAD) -> Architecture:
    """Writes a table as a name-based checkpoint that the published code reads.

    Args:
        table: a run's variables, in the order of construction, or a part of them that
            has a whole encoder.
        prefix: e.g. `D/model.ckpt-1234`.
        head: the scope of the projection head: `head_contrastive_instance` as in FNC,
            `head_contrastive` as in SimCLR.

    Returns:
        The network that was written.

    Raises:
        UserError: if the encoder is not a published ResNet, or a variable has no place
            in the layout; then nothing is written.
    """
    names = published_names(table, head=head)
    nameless = [own for own in table if own not in names]
    if nameless:
        raise UserError(
            f"{len(nameless)} variables have no place in a published checkpoint, first "
            f"{nameless[0]}. Runs of simclr, fnc and supervised can be written in this "
            "layout."
        )
    try:
        network = recognise({name: table[own].shape for own, name in names.items()})
    except UserError as error:
        raise UserError(
            f"the encoder cannot be written in the published layout: {error}"
        ) from error
    write({name: table[own] for own, name in names.items()}, prefix)
    return network
