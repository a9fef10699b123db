"""Whether the labels of the data fit an objective that reads labels."""

from __future__ import annotations

from sslkit.api import Objective
from sslkit.data.labelling import Labelling, labelling
from sslkit.errors import UserError
from sslkit.source import Source

__all__ = ["check_labels", "labels_read"]


def labels_read(objective: Objective, source: Source) -> Labelling | None:
    """Returns a split's labelling for an objective; None if it reads no labels.

    Args:
        objective: built.
        source: the training split.
    """
    if objective.classes is None and not objective.needs_labels:
        return None
    return labelling(source)


def check_labels(objective: Objective, source: Source, found: Labelling | None) -> None:
    """Refuses an objective that reads labels which the data does not have.

    Args:
        objective: built.
        source: the training split.
        found: what `labels_read` returned.

    Raises:
        UserError: if there are no labels, or more classes than the classifier has.
    """
    if found is None:
        return
    if source.classes is None:
        raise UserError(
            f"objective {objective.name} reads labels and {source.name} "
            f"{source.why_unlabelled()}."
        )
    if not found.any:
        raise UserError(
            f"objective {objective.name} reads labels and {source.name} has none: "
            f"{found}. Name a split that has some: data.train = 'SPLIT'."
        )
    if objective.classes is not None and source.classes > objective.classes:
        raise UserError(
            f"{source.name} has {source.classes} classes and objective "
            f"{objective.name} {objective.classes}. Set "
            f"objectives.{objective.name}.classes = {source.classes}."
        )
