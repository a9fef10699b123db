"""Secrets in text: what gives access to something is not shown, logged or kept."""

from __future__ import annotations

import re

HIDDEN = "***"

_PATTERNS = (
    # scheme://user:password@host; a name alone may be a token, too.
    (re.compile(r"(?<=://)[^/\s'\"@]+(?=@)"), HIDDEN),
    # Signed addresses: ?token=…, &X-Amz-Signature=…
    (
        re.compile(
            r"([?&;][\w.-]*(?:token|key|secret|sig|passw|pwd|credential|auth)[\w.-]*=)"
            r"[^&;#\s'\"]+",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(\bbearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1{HIDDEN}"),
    # What the keys of well-known services look like.
    (
        re.compile(
            r"\b(?:hf_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}"
            r"|AKIA[0-9A-Z]{16}|ya29\.[\w-]{16,}|AIza[\w-]{30,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,})"
        ),
        HIDDEN,
    ),
)


def hide(text: str) -> str:
    """Returns a text in which stars stand for passwords, tokens and signatures.

    Those of addresses (`scheme://user:password@host`, `?token=…`) and those that look
    like the keys of well-known services. What looks like any other word stays.
    """
    for pattern, stars in _PATTERNS:
        text = pattern.sub(stars, text)
    return text


def holds_secret(text: str) -> bool:
    """Returns whether `hide` would change a text."""
    return hide(text) != text
