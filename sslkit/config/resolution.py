"""Finds the bindings that take effect and checks them, without importing plugins."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from sslkit import plugins
from sslkit.arguments.wanted import Kind
from sslkit.config.core_functions import CORE_FUNCTIONS
from sslkit.config.length import check_length
from sslkit.config.reaching import (
    REQUIRED,
    expand,
    leaves,
    macro_names,
    reach,
    references,
)
from sslkit.config.reading import (
    Binding,
    Macro,
    Reference,
    read_files,
    read_override,
)
from sslkit.config.recipes import is_part
from sslkit.config.renaming import current
from sslkit.config.signatures import Signature, signature
from sslkit.config.types import check_value, kinds_of
from sslkit.errors import UserError, did_you_mean
from sslkit.secrets import holds_secret

STAGES = "stages"
"""The target that a recipe of several stages binds; see `sslkit.config.stages`."""


@dataclasses.dataclass(frozen=True)
class Resolution:
    """The complete configuration of a run."""

    bindings: tuple[Binding, ...]
    """Sorted by key; one per key; macros are replaced by their values."""
    notes: tuple[str, ...]
    """A line for each binding in the recipes that this run does not use. Files in
    `gin/parts` may have such bindings without a note."""
    recipes: tuple[str, ...]
    """The names of the recipes, as given."""
    signatures: Mapping[str, Signature]
    """Target, e.g. `train`, -> the keywords that can be set, for the targets that the
    run uses and whose signatures are known."""

    def render(self, *, places: bool = False, defaults: bool = False) -> str:
        """Returns gin text that gives this configuration and needs no other file.

        Args:
            places: whether each line says in which file and line its value is set.
            defaults: whether to show the values that are not set, as comments with
                their defaults.
        """
        lines: dict[tuple[str, str], dict[str, str]] = {}
        for binding in self.bindings:
            place = f"  # {binding.set_at}" if places else ""
            line = f"{binding.key} = {binding.value!r}{place}"
            block = lines.setdefault((binding.scope, binding.target), {})
            block[binding.parameter] = line
        for target, known in self.signatures.items() if defaults else ():
            block = lines.setdefault(("", target), {})
            for name, parameter in known.parameters.items():
                value = parameter.default
                said = "is set by the code" if value is None else f"= {value}"
                block.setdefault(name, f"# {target}.{name} {said}")
        text = [f"# Resolved from {', '.join(self.recipes)}."]
        for _, block in sorted(
            lines.items(), key=lambda item: "/".join(item[0]).lstrip("/")
        ):
            text += ["", *(line for _, line in sorted(block.items()))]
        return "\n".join(text) + "\n"

    def targets(self) -> list[str]:
        """Lists the plugins in use, e.g. `objectives.fnc`, sorted."""
        found = {
            reference.name
            for binding in self.bindings
            for reference in references(binding.value)
        }
        return sorted(found - CORE_FUNCTIONS.keys())


def read(
    recipes: Sequence[str],
    overrides: Sequence[str] = (),
    *,
    data_dir: str | None = None,
) -> Resolution:
    """Reads recipes and overrides and checks every name they use.

    TensorFlow and the plugins are not imported. A later binding replaces an earlier
    one, and overrides replace bindings of recipes.

    Args:
        recipes: files, as for `find_recipe`, in order.
        overrides: texts such as `train.epochs = 5`.
        data_dir: short for the override `data.data_dir = '...'`.

    Raises:
        UserError: if a file is missing or not gin, a plugin, parameter or macro does
            not exist, an override is not used or has no effect, a value that the
            recipes leave to the user is not given, or the recipe has several stages.
    """
    given = read_overrides(overrides, data_dir=data_dir)
    resolution, idle = resolve(read_files(recipes) + given, recipes)
    if idle:
        raise UserError(idle_message(idle[0], resolution))
    check_length(resolution.bindings, given)
    return resolution


def left_open(recipes: Sequence[str], overrides: Sequence[str] = ()) -> list[str]:
    """Returns the keys whose values recipes and overrides leave to the user.

    Raises:
        UserError: if a file is missing or not gin.
    """
    written = read_files(recipes) + read_overrides(overrides)
    last = {binding.key: binding.value for binding in written}
    return [
        key
        for key, value in last.items()
        if isinstance(value, Macro) and value.name in REQUIRED
    ]


def read_overrides(
    overrides: Sequence[str], *, data_dir: str | None = None
) -> list[Binding]:
    """Reads the bindings of the command line; see `read`."""
    written = [binding for text in overrides for binding in read_override(text)]
    if data_dir is not None:
        written += read_override(f"data.data_dir = {data_dir!r}", "--data-dir")
    return written


def resolve(
    written: Sequence[Binding],
    recipes: Sequence[str],
    *,
    roots: Iterable[str] = CORE_FUNCTIONS,
) -> tuple[Resolution, list[Binding]]:
    """Resolves bindings, where a later one replaces an earlier one.

    Args:
        written: all bindings that were read.
        recipes: the names of the recipes, as given.
        roots: the targets that are in use without a reference to them.

    Returns:
        The resolution, and the overrides among `written` that it does not use.

    Raises:
        UserError: as `read`, except for unused overrides.
    """
    installed = plugins.installed()
    last = {binding.key: binding for binding in current(written, installed)}
    macros = {key: b for key, b in last.items() if not b.parameter}
    bindings = [b for b in last.values() if b.parameter]

    kinds = kinds_of(installed)
    signatures: dict[str, Signature | None] = {}

    def signature_of(target: str, place: str) -> Signature | None:
        if target not in signatures:
            where = _locate(target, place, installed)
            signatures[target] = signature(where, kinds)
        return signatures[target]

    def kind_of(reference: Reference) -> type[Kind] | None:
        base = plugins.KINDS.get(reference.name.partition(".")[0])
        if base is not None:
            return kinds[f"sslkit.api:{base}"]
        known = signatures[reference.name]
        returns = None if known is None else known.returns
        return returns if returns in kinds.values() else None

    for binding in last.values():
        _refuse_secrets(binding)
        for reference in references(binding.value):
            signature_of(reference.name, binding.place)
        if binding.parameter:
            known = signature_of(binding.target, binding.place)
            if known is not None:
                check_parameter(binding, known.names)
    expanded = [expand(binding, macros) for binding in bindings]
    used, idle, targets = reach(expanded, roots)
    for root in roots:
        signature_of(root, "")
    idle += [m for m in macros.values() if m.key not in macro_names(bindings, macros)]
    for binding in used:
        known = signatures[binding.target]
        if known is not None:
            check_value(binding, known.parameters[binding.parameter], kind_of)
    _check_complete(used, signatures)
    resolution = Resolution(
        bindings=tuple(sorted(used, key=lambda binding: binding.key)),
        notes=tuple(
            f"{b.place}: nothing uses {b.key}"
            for b in idle
            if not b.override and not is_part(b.place.partition(":")[0])
        ),
        recipes=tuple(recipes),
        signatures={
            target: known
            for target, known in sorted(signatures.items())
            if known is not None and target in targets
        },
    )
    return resolution, [binding for binding in idle if binding.override]


def idle_message(binding: Binding, resolution: Resolution) -> str:
    """Returns a message that a run does not use an override, with the nearest name."""
    used = resolution.bindings
    near = did_you_mean(binding.key, [b.key for b in used])
    targets = ", ".join(sorted({b.target for b in used}))
    return (
        f"{binding.place} has no effect: this run does not use {binding.key}. "
        f"{near}It uses: {targets or 'nothing'}."
    )


def _locate(target: str, place: str, installed: Iterable[plugins.Plugin]) -> str:
    """Returns `module:name` of a function of the core or an installed plugin."""
    if target in CORE_FUNCTIONS:
        return CORE_FUNCTIONS[target]
    if target == STAGES:
        raise UserError(
            f"{place} makes this a recipe of several stages. Choose one with --stage."
        )
    kind, _, name = target.partition(".")
    if kind not in plugins.KINDS or not name:
        titles = [plugin.title for plugin in installed]
        short = [title for title in titles if title.partition(".")[2] == target]
        near = (
            f"Did you mean '{short[0]}'? "
            if short
            else did_you_mean(target, [*CORE_FUNCTIONS, *titles])
        )
        raise UserError(
            f"'{target}' cannot be configured ({place}). {near}Recipes configure "
            f"{', '.join(CORE_FUNCTIONS)} and plugins, which are called KIND.NAME with "
            f"one of the kinds {', '.join(plugins.KINDS)}."
        )
    try:
        return plugins.find(kind, name, installed).value
    except UserError as error:
        raise UserError(f"{place}: {error}") from error


def check_parameter(binding: Binding, names: Sequence[str]) -> None:
    """Refuses a binding whose parameter its target does not have.

    Args:
        binding: the binding.
        names: the parameters of the target.

    Raises:
        UserError: if the parameter does not exist; names the place and the nearest
            name.
    """
    if binding.parameter in names:
        return
    near = did_you_mean(binding.parameter, names)
    raise UserError(
        f"{binding.target} has no parameter '{binding.parameter}' ({binding.place}). "
        f"{near}It takes: {', '.join(names) or 'none'}."
    )


def _refuse_secrets(binding: Binding) -> None:
    """Refuses passwords and tokens, because configurations are shown to others."""
    if any(isinstance(v, str) and holds_secret(v) for v in leaves(binding.value)):
        raise UserError(
            f"{binding.key} holds a password or a token ({binding.place}), and "
            "configurations are copied to workdirs, exports and dashboards. Leave it "
            "out: services read their keys from variables such as "
            "GOOGLE_APPLICATION_CREDENTIALS or WANDB_API_KEY."
        )


def _check_complete(
    used: Iterable[Binding], signatures: dict[str, Signature | None]
) -> None:
    """Refuses values that are left to the user, and objects without an argument."""
    bound: dict[str, set[str]] = {}
    for binding in used:
        bound.setdefault(binding.target, set()).add(binding.parameter)
        for leaf in leaves(binding.value):
            if isinstance(leaf, Macro):
                raise UserError(
                    f"{binding.place} leaves {binding.key} to you. "
                    f"Add --set '{binding.key} = …'."
                )
    for binding in used:
        for reference in references(binding.value):
            known = signatures[reference.name]
            # A reference without parentheses gets its other arguments from its caller.
            if known is None or not reference.evaluate:
                continue
            missing = [
                name
                for name in known.names
                if name in known.required - bound.get(reference.name, set())
            ]
            if missing:
                names = ", ".join(f"{reference.name}.{name}" for name in missing)
                raise UserError(
                    f"{binding.key} = {binding.value!r} ({binding.place}) needs a value"
                    f" for {names}. Add --set '{reference.name}.{missing[0]} = …'."
                )
