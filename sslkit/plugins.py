"""Installed plugins: listing entry points, and loading and checking single classes.

Listing reads metadata and imports nothing, so it is quick and does not fail because of
a broken plugin. Loading imports only the plugin that is used.
"""

from __future__ import annotations

import collections
import dataclasses
import importlib.metadata
import re
import sys
import threading
from collections.abc import Iterable

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import sslkit
from sslkit.announced import announced
from sslkit.errors import UserError, describe, did_you_mean
from sslkit.signatures import misfit, unspelled

KINDS = {
    "augmentations": "Augmentation",
    "backbones": "Backbone",
    "evaluations": "Evaluation",
    "objectives": "Objective",
    "optimizers": "Optimizer",
    "reporters": "Reporter",
    "runners": "Runner",
    "schedules": "Schedule",
    "sources": "Source",
}
"""Kind -> its base class in `sslkit.api`. The entry-point group is `sslkit.<kind>`."""

RENAMED = "sslkit.renamed"
"""The group of entry points `<kind>.<old name> = <kind>.<new name>`, for plugins whose
names have changed. They are not imported."""

_PATIENCE = 60.0
"""Seconds after which a note says which plugin is still being imported."""


@dataclasses.dataclass(frozen=True, order=True)
class Plugin:
    """One entry point, as declared by its distribution; nothing is imported."""

    kind: str
    """A key of `KINDS`."""
    name: str
    """Its name; recipes use `<kind>.<name>`."""
    value: str
    """The place of the class: `package.module:Class`."""
    distribution: str
    """Name of the installed distribution."""
    version: str
    """Version of that distribution."""
    requires: tuple[str, ...] = ()
    """The distribution's `Requires-Dist` lines that name sslkit."""

    @property
    def title(self) -> str:
        """Its name in recipes, e.g. `objectives.fnc`."""
        return f"{self.kind}.{self.name}"

    @property
    def origin(self) -> str:
        """The distribution and its version, e.g. `acme-fnc 2.0`."""
        return f"{self.distribution} {self.version}"


def installed() -> list[Plugin]:
    """Lists every plugin of every kind, sorted, without importing any.

    A distribution whose metadata is damaged is left out; `strays` names it.
    """
    groups = {f"sslkit.{kind}": kind for kind in KINDS}
    found = set()
    for one in announced():
        for entry_point in one.entry_points:
            kind = groups.get(entry_point.group)
            if kind is not None and one.origin is not None:
                found.add(
                    Plugin(kind, entry_point.name, entry_point.value, *one.origin)
                )
    return sorted(found)


def others(titles: Iterable[str]) -> list[str]:
    """Returns which plugins come from distributions other than sslkit's own.

    Args:
        titles: the plugins in use, e.g. `objectives.fnc`. They are not imported.

    Returns:
        A line per distribution.
    """
    used = set(titles)
    found: dict[str, list[str]] = collections.defaultdict(list)
    for plugin in installed():
        if plugin.title in used and canonicalize_name(plugin.distribution) != "sslkit":
            found[plugin.origin].append(plugin.title)
    return [
        f"{', '.join(titles)} {'is' if len(titles) == 1 else 'are'} code of {origin}"
        for origin, titles in sorted(found.items())
    ]


def renamed() -> dict[str, str]:
    """Returns the titles of plugins that have changed: old -> new."""
    return {
        entry_point.name: entry_point.value
        for one in announced()
        for entry_point in one.entry_points
        if entry_point.group == RENAMED and one.origin is not None
    }


def strays() -> list[str]:
    """Returns problems with entry points of installed distributions.

    Returns:
        A line for each entry-point group that is not one of sslkit's, for each plugin
        that is renamed to one that is not installed, and for each distribution whose
        metadata is damaged and cannot be read.
    """
    groups = [*(f"sslkit.{kind}" for kind in KINDS), RENAMED]
    found: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
    damaged, lost = [], []
    titles = {plugin.title for plugin in installed()}
    for one in announced():
        ours = [e for e in one.entry_points if e.group.startswith("sslkit.")]
        if one.damage is not None and (ours or not one.entry_points):
            damaged.append(one.damage)
        if one.origin is None:
            continue
        name = one.origin.distribution
        for entry_point in ours:
            if entry_point.group not in groups:
                found[entry_point.group, name].add(entry_point.name)
            elif entry_point.group == RENAMED and entry_point.value not in titles:
                near = did_you_mean(entry_point.value, sorted(titles))
                lost.append(
                    f"{name} renames {entry_point.name} to {entry_point.value}, which "
                    f"is not installed. {near}".rstrip()
                )
    return [
        *damaged,
        *(
            f"{origin} announces {', '.join(sorted(names))} in the entry-point group "
            f"{group}, which is not one of sslkit's. "
            f"{did_you_mean(group, groups)}".rstrip()
            for (group, origin), names in sorted(found.items())
        ),
        *sorted(lost),
    ]


def find(kind: str, name: str, among: Iterable[Plugin] | None = None) -> Plugin:
    """Finds the plugin with a name, without importing it.

    Args:
        kind: a key of `KINDS`.
        name: the entry point's name.
        among: the plugins to search; all installed ones by default.

    Raises:
        UserError: if there is none, if two distributions have the name, or if the
            plugin's distribution requires another version of sslkit.
    """
    plugins = [p for p in (installed() if among is None else among) if p.kind == kind]
    claims = [plugin for plugin in plugins if plugin.name == name]
    if not claims:
        names = sorted({plugin.name for plugin in plugins})
        raise UserError(
            f"no {KINDS[kind].lower()} is called '{name}'. {did_you_mean(name, names)}"
            + " ".join([f"Installed: {', '.join(names) or 'none'}.", *strays()])
        )
    problem = conflict(claims[0], plugins) or refusal(claims[0])
    if problem:
        raise UserError(problem)
    return claims[0]


def named(text: str) -> Plugin:
    """Finds the plugin that a user names, without importing it.

    Args:
        text: `objectives.fnc`, or `fnc` if only one kind has this name.

    Raises:
        UserError: if there is none, or several.
    """
    there = installed()
    found = [plugin for plugin in there if text in (plugin.title, plugin.name)]
    exact = [plugin for plugin in found if plugin.title == text]
    if exact:
        return find(exact[0].kind, exact[0].name, there)
    if not found:
        now = renamed().get(text)
        near = f"It is now '{now}'. " if now else did_you_mean(text, _spellings(there))
        raise UserError(
            " ".join(
                [
                    f"no plugin is called '{text}'. {near}`sslkit plugins` lists all "
                    f"{len(there)}.",
                    *strays(),
                ]
            )
        )
    if len({plugin.title for plugin in found}) > 1:
        titles = sorted({plugin.title for plugin in found})
        raise UserError(
            f"'{text}' is the name of {len(titles)} plugins. Give the full name: "
            f"{' or '.join(titles)}."
        )
    return find(found[0].kind, text, there)


def _spellings(there: Iterable[Plugin]) -> list[str]:
    return [spelled for plugin in there for spelled in (plugin.title, plugin.name)]


def conflict(plugin: Plugin, among: Iterable[Plugin]) -> str | None:
    """Returns which distributions share the plugin's name, or None."""
    claims = [p for p in among if (p.kind, p.name) == (plugin.kind, plugin.name)]
    if len(claims) < 2:
        return None
    claimants = "; ".join(f"{claim.origin} ({claim.value})" for claim in claims)
    count = "twice" if len(claims) == 2 else f"{len(claims)} times"
    keep = "Uninstall one." if len(claims) == 2 else "Keep one."
    return f"{plugin.title} is claimed {count}: {claimants}. {keep}"


def refusal(plugin: Plugin) -> str | None:
    """Returns why a recipe cannot use the plugin, or None.

    Its name is not one that a recipe can write, or its distribution does not accept
    this sslkit.
    """
    if not plugin.name.isidentifier():
        return (
            f"{plugin.title} of {plugin.origin} cannot be written in a recipe. Name "
            "its entry point with letters, digits and underscores, e.g. "
            f"{re.sub('[^0-9a-zA-Z]+', '_', plugin.name)}."
        )
    for line in plugin.requires:
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        if not requirement.specifier.contains(sslkit.__version__, prereleases=True):
            return (
                f"{plugin.title} comes from {plugin.origin}, which requires "
                f"sslkit{requirement.specifier}; this is sslkit {sslkit.__version__}. "
                f"Install a version of {plugin.distribution} for it."
            )
    return None


def load(kind: str, name: str) -> type:
    """Imports one plugin and checks it.

    Args:
        kind: a key of `KINDS`.
        name: the entry point's name.

    Returns:
        The class: a subclass of its kind without abstract methods, whose constructor
        names every keyword and whose methods can be called as those of its kind.

    Raises:
        UserError: if `find` refuses it, if its import fails, or if it is not such a
            class.
    """
    plugin = find(kind, name)
    # Imported here, because listing and `--help` do not need it.
    from stevedore.driver import DriverManager
    from stevedore.extension import ExtensionManager

    class Driver(DriverManager):
        # stevedore caches its listing by file times, rounded to two minutes, so it
        # would miss a plugin that was just installed.
        def list_entry_points(self) -> list[importlib.metadata.EntryPoint]:
            return [
                entry_point
                for one in announced()
                for entry_point in one.entry_points
                if entry_point.group == self.namespace and one.origin is not None
            ]

    def fail(
        manager: ExtensionManager,
        entry_point: importlib.metadata.EntryPoint,
        error: BaseException,
    ) -> None:
        raise UserError(
            f"{plugin.title} of {plugin.origin} ({plugin.value}) cannot be imported: "
            f"{describe(error)}. Repair or uninstall {plugin.distribution}."
        ) from error

    slow = threading.Timer(_PATIENCE, _say_slow, [plugin])
    slow.daemon = True
    slow.start()
    try:
        manager = Driver(f"sslkit.{kind}", name, on_load_failure_callback=fail)
    except SystemExit as error:
        raise UserError(
            f"{plugin.title} of {plugin.origin} ({plugin.value}) ends the process when "
            f"it is imported. Repair or uninstall {plugin.distribution}."
        ) from error
    except (KeyboardInterrupt, UserError):
        raise
    except BaseException as error:
        # stevedore does not catch what is not an Exception.
        raise UserError(
            f"{plugin.title} of {plugin.origin} ({plugin.value}) cannot be imported: "
            f"{describe(error)}. Repair or uninstall {plugin.distribution}."
        ) from error
    finally:
        slow.cancel()
    return _verified(plugin, manager.driver)


def _say_slow(plugin: Plugin) -> None:
    # An import that hangs cannot be ended from here, and it may only be slow.
    print(
        f"note: {plugin.title} of {plugin.origin} ({plugin.value}) is still being "
        f"imported after {_PATIENCE:g} s. `sslkit doctor` ends an import that hangs.",
        file=sys.stderr,
        flush=True,
    )


def _verified(plugin: Plugin, loaded: object) -> type:
    from sslkit import api

    where = f"{plugin.title} of {plugin.origin} ({plugin.value})"
    base = getattr(api, KINDS[plugin.kind])
    if not isinstance(loaded, type) or not issubclass(loaded, base):
        raise UserError(f"{where} is not a subclass of sslkit.api.{base.__name__}.")
    missing = sorted(getattr(loaded, "__abstractmethods__", ()))
    if missing:
        raise UserError(f"{where} does not implement {', '.join(missing)}.")
    catch_all = unspelled(loaded)
    if catch_all:
        raise UserError(
            f"the constructor of {where} takes {catch_all}, so a typo in a recipe "
            "would not be noticed. Name every keyword."
        )
    wrong = misfit(loaded, base)
    if wrong:
        raise UserError(f"{where} breaks its contract: {wrong[0]}. {wrong[1]}.")
    return loaded
