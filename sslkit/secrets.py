"""Hiding passwords, tokens and keys in text that is shown, logged or saved."""

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
    # The form of keys of well-known services.
    (
        re.compile(
            r"\b(?:hf_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}"
            r"|AKIA[0-9A-Z]{16}|ya29\.[\w-]{16,}|AIza[\w-]{30,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,})"
        ),
        HIDDEN,
    ),
)


def hide(text: str) -> str:
    """Returns a text in which passwords, tokens and signatures are replaced by stars.

    It finds those in addresses (`scheme://user:password@host`, `?token=…`) and those
    that look like the keys of well-known services. Other words are not changed.
    """
    for pattern, stars in _PATTERNS:
        text = pattern.sub(stars, text)
    return text


def holds_secret(text: str) -> bool:
    """Returns whether `hide` would change a text."""
    return hide(text) != text
