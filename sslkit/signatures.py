"""Whether the methods of a class can be called as its contract says."""

from __future__ import annotations

import functools
import inspect

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def unspelled(loaded: type) -> str | None:
    """Returns the catch-all parameter of a class's constructor, e.g. `**kwargs`."""
    constructor = inspect.getattr_static(loaded, "__init__")
    if constructor is object.__init__:
        return None
    for parameter in inspect.signature(constructor).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            return f"**{parameter.name}"
        if parameter.kind is parameter.VAR_POSITIONAL:
            return f"*{parameter.name}"
    return None


def misfit(loaded: type, base: type) -> tuple[str, str] | None:
    """Compares the methods of a class with those of its contract.

    Args:
        loaded: a class.
        base: the contract, of which it is a subclass.

    Returns:
        What is wrong with the first public method or property that cannot be used as
        the contract's, and the next move; None if all can. Methods whose contract takes
        any arguments are not compared.
    """
    for name, wanted in vars(base).items():
        own = inspect.getattr_static(loaded, name)
        if name.startswith("_") or own is wanted:
            continue
        if isinstance(wanted, property | functools.cached_property):
            if inspect.isfunction(own):
                return f"its `{name}` is not a property", "Write @property above it"
        elif inspect.isfunction(wanted):
            found = _refused(name, own, wanted)
            if found:
                return found
    return None


def _refused(name: str, own: object, wanted: object) -> tuple[str, str] | None:
    call = inspect.signature(wanted)  # type: ignore[arg-type]
    parameters = call.parameters.values()
    shown = f"{name}{_names(call)}"
    if isinstance(own, property) or not (callable(own) or hasattr(own, "__func__")):
        return f"its `{name}` is not a method", f"Write def {shown}"
    if not inspect.isfunction(own) or any(p.kind in _VARIADIC for p in parameters):
        return None
    given = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    named = {p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY}
    signature = inspect.signature(own)
    try:
        signature.bind(*given, **named)
    except TypeError as error:
        return (
            f"its {name}{_names(signature)} cannot be called as {shown}: {error}",
            "Take the same parameters",
        )
    return None


def _names(signature: inspect.Signature) -> str:
    """Returns a signature without its types, e.g. (self, step, *, steps)."""
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
    ]
    return str(inspect.Signature(bare))
