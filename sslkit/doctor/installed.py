"""Finds plugins that cannot be used, without importing them in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sslkit import plugins
from sslkit.doctor.children import Step, run_probe
from sslkit.doctor.finding import Finding

_ABOUT = "plugins"


def check_plugins(
    *,
    seconds: float,
    load: bool = True,
    probe: Callable[..., list[Step]] = run_probe,
) -> Iterator[Finding]:
    """Checks every installed plugin, and imports each.

    Args:
        seconds: the time limit for all of them; if one exceeds it, it is reported, and
            the rest are tried again.
        load: whether to import them; their metadata is checked anyway.
        probe: see `run_probe`.
    """
    installed = plugins.installed()
    bad = set()
    for line in plugins.strays():
        yield Finding("broken", _ABOUT, line)
    for plugin in installed:
        problem = plugins.conflict(plugin, installed) or plugins.refusal(plugin)
        if problem and plugin.title not in bad:
            yield Finding("broken", _ABOUT, problem)
        if problem:
            bad.add(plugin.title)
    others = sorted({p.origin for p in installed if p.distribution != "sslkit"})
    origins = f", from {', '.join(['sslkit', *others])}"
    if not load:
        yield Finding(
            "note", _ABOUT, "none was imported, because TensorFlow cannot be imported"
        )
        return
    left = [plugin.title for plugin in installed if plugin.title not in bad]
    whole = len(left)
    failed = 0
    while left:
        steps = probe("plugins", *left, seconds=seconds)
        for step in steps:
            if step.error is not None:
                failed += 1
                yield Finding("broken", _ABOUT, _said(step, installed))
        tried = [step.name for step in steps]
        again = [title for title in left if title not in tried]
        if again == left:
            break  # The process ended before a plugin was imported.
        left = again
    if not failed and not bad:
        yield Finding("ok", _ABOUT, f"{whole} can be imported{origins}")


def _said(step: Step, installed: list[plugins.Plugin]) -> str:
    error = str(step.error).removeprefix("UserError: ")
    if not step.fatal:
        return error
    found = [plugin for plugin in installed if plugin.title == step.name]
    if not found:
        return f"they cannot be imported: {error}"
    (plugin, *_) = found
    return (
        f"{plugin.title} of {plugin.origin} ({plugin.value}) cannot be imported: "
        f"{error}. Repair or uninstall {plugin.distribution}"
    )
