"""What the options of the FNC objective can be."""

from __future__ import annotations

from sslkit.errors import UserError

_CHOICES = {
    "support_role": ("anchors", "support"),
    "support_encoder": (None, "online", "momentum"),
    "false_negatives": ("attract", "eliminate", "ignore"),
    "aggregate": ("max", "mean"),
    "bank_fill": ("zeros", "lazy"),
    "decay_schedule": ("constant", "cosine"),
    "momentum_init": ("random", "copy"),
}


def check_options(
    *,
    support: int,
    temperature: float,
    bank: int,
    decay: float,
    topk: int | None,
    threshold: float | None,
    detection: str,
    block: int | None,
    **words: str | None,
) -> None:
    """Refuses options that make no sense; see `FNC`.

    Raises:
        UserError: saying what came and what is wanted.
    """
    for option, value in words.items():
        if value not in _CHOICES[option]:
            choices = ", ".join(repr(choice) for choice in _CHOICES[option])
            raise UserError(f"fnc: {option} is {value!r}; it can be {choices}.")
    views = 2 + (support if words["support_role"] == "anchors" else 0)
    checks = [
        (support >= 0, f"support is {support}; it is 0 or more"),
        (temperature > 0, f"temperature is {temperature}; it is positive"),
        (topk is None or topk >= 1, f"topk is {topk}; it is 1 or more, or None"),
        (
            detection != "topk"
            or words["false_negatives"] == "ignore"
            or topk is not None
            or threshold is not None,
            "topk and threshold are both None, which makes every candidate a false "
            "negative; set one of them, or false_negatives = 'ignore'",
        ),
        (
            threshold is None or -1 <= threshold <= 1,
            f"threshold is {threshold}; a cosine is in [-1, 1]",
        ),
        (0 <= decay <= 1, f"decay is {decay}; it is in [0, 1]"),
        (
            bank == 0 or bank >= views,
            f"bank is {bank} global batches; each step writes {views} views of every "
            f"image, so it is 0 or at least {views}",
        ),
        (
            block is None or block >= 0,
            f"block is {block}; it is a number of candidates, 0 for all, or None",
        ),
    ]
    for fine, complaint in checks:
        if not fine:
            raise UserError(f"fnc: {complaint}.")
