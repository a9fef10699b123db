"""Published cases in which only rounding decides what is selected.

Three images are copies of one another. A view's score against its own copies is the
square of its length, which is 1 up to the last bit. Which view has the largest depends
on the order in which 16 products are added, and on whether they are fused. So copies
within a view are bit-equal, and the lower column comes first, but the order of the
views is free. The published loss and gradient must be ours with one of these orders,
and our own selection must be one of them, too.
"""

from __future__ import annotations

import itertools

import numpy as np

from sslkit.objectives import Listed

# Equal up to rounding in float64.
SAME = 1e-12


def scores_of(z, views):
    """Scores in float64, [b, columns]; the image's own columns have none."""
    batch = len(z) // views
    scores = (z @ z.T).reshape(views, batch, -1).max(axis=0)
    for image in range(batch):
        scores[image, image::batch] = -np.inf
    return scores


def fillings(groups, room):
    """Yields every way to take `room` columns, group by group."""
    for count in range(len(groups) + 1):
        for full in itertools.combinations(groups, count):
            left = room - sum(map(len, full))
            taken = list(itertools.chain(*full))
            if left == 0:
                yield taken
            for last in groups:
                if last not in full and 0 < left < len(last):
                    yield taken + last[:left]


def choices(z, scores, case):
    """Yields the tied selections of one image, as lists of columns."""
    topk = case["fn_topk"]
    edge = np.sort(scores)[-topk]
    certain = [k for k in range(len(scores)) if scores[k] > edge + SAME]
    tied = [k for k in range(len(scores)) if abs(scores[k] - edge) <= SAME]
    groups = []
    for column in tied:
        for group in groups:
            if np.array_equal(z[group[0]], z[column]):
                group.append(column)
                break
        else:
            groups.append([column])
    for taken in fillings(groups, topk - len(certain)):
        chosen = certain + taken
        yield [k for k in chosen if scores[k] > case["fn_threshold"]]


def listed(selection, columns):
    width = max(map(len, selection))
    rows = [row + [-1] * (width - len(row)) for row in selection]
    return Listed(np.array(rows, "int32"), columns=columns)


def loss_of(z, selection, case):
    """The loss in float64, anchor by anchor."""
    views, batch = case["views"], len(z) // case["views"]
    logits = z @ z.T / case["temperature"]
    total = 0.0
    for row in range(len(z)):
        image = row % batch
        rest = np.arange(len(z)) != row
        own = [k for k in range(image, len(z), batch) if k != row]
        log_denominator = np.logaddexp.reduce(logits[row, rest])
        total += log_denominator - logits[row, own + selection[image]].mean()
    return 2 / views * total / batch


def test_published_choice_is_one_of_the_tied_ones(published, tied):
    cases = [case for case in published.cases("plain") if tied(case)]
    ambiguous = 0
    for case in cases:
        hidden = published.inputs[case["input"]].astype("float64")
        z = hidden
        if case["hidden_norm"]:
            z = hidden / np.linalg.norm(hidden, axis=1, keepdims=True)
        scores = scores_of(z, case["views"])
        options = [list(choices(z, row, case)) for row in scores]
        # Copies have bit-equal scores, and so select the same.
        open_images = [image for image, some in enumerate(options) if len(some) > 1]
        assert len({len(options[image]) for image in open_images}) <= 1
        assert len({z[image].tobytes() for image in open_images}) <= 1
        ambiguous += bool(open_images)
        selections = [
            [some[min(pick, len(some) - 1)] for some in options]
            for pick in range(max(map(len, options)))
        ]
        wanted = published.outputs[f"{case['name']}/loss"]
        losses = [loss_of(z, selection, case) for selection in selections]
        best = selections[int(np.argmin(np.abs(np.array(losses) - wanted)))]
        loss, gradient, _ = published.batch_loss(
            published.inputs[case["input"]], case, detected=listed(best, len(z))
        )
        published.check_case(loss, gradient, case)

        _, _, ours = published.batch_loss(published.inputs[case["input"]], case)
        found = [sorted(set(row) - {-1}) for row in ours.indices.numpy().tolist()]
        assert all(
            row in map(sorted, some) for row, some in zip(found, options, strict=True)
        ), case["name"]
    assert len(cases) == 18
    assert ambiguous > 10
