"""Recipes: random bindings, names, values and damage to those that are shipped."""

from __future__ import annotations

import pathlib
import random
from typing import ClassVar

from faults.fuzzing import READ, Finding, Target, damaged

from sslkit import config, plugins

_SCALARS = (
    "0",
    "1",
    "-1",
    "1.5",
    "1e999",
    "-1e999",
    "1j",
    "True",
    "None",
    "'x'",
    "''",
    "b'x'",
    "1_0",
    "0x10",
    "9" * 30,
    "9" * 5000,
    "'\\x00'",
    "'\\ud800'",
    "'folder:'",
    "'\N{SNOWMAN}'",
    "'gs://'",
    "'a' 'b'",
    "{}",
    "[]",
    "()",
    "set()",
    "{1}",
    "...",
    "1 +",
    "f'x'",
    "lambda: 0",
    "@",
    "%",
    "@train",
    "@train()",
    "%gin.REQUIRED",
    "@data()",
    "@gin.macro()",
    "@a/b/c.d()",
)
_NAMES = (
    "train",
    "data",
    "evaluate",
    "stages",
    "gin",
    "",
    ".",
    "a.b",
    "a.b.c",
    "objectives",
    "objectives.",
    ".fnc",
    "ob\N{LATIN SMALL LETTER E WITH ACUTE}",
    "x" * 3000,
    "import",
    "None",
    "1",
    "%x",
    "@x",
    "a/b/c",
    "/",
    "a//b",
)
_LINES = (
    "include 'gin/parts/convnet.gin'",
    "include ''",
    "include '/'",
    "include '.'",
    "include 'gin'",
    "include 'no'",
    "include '\\x00'",
    "include '/dev/null'",
    "include '/dev/zero'",
    "include '" + "x" * 5000 + "'",
    "include 'file://x'",
    "include",
    "import os",
    "from os import path",
    "import sslkit.api as x",
    "x = %x",
    "x = (%x, 1)",
    "a = %b\nb = %a",
    "train:",
    "train:\n  steps = 3",
    "train:\n  steps = 3\n    seed = 1",
    "if True:",
    '"""',
    "'''",
    "\\",
    "\t",
    "#",
    ")",
    "x = (",
    "x = '",
)


class Recipes(Target):
    """Recipes and overrides, read as `sslkit config` and `sslkit train` do."""

    name = "recipes"
    seconds: ClassVar[float] = 30.0

    def __init__(self, folder: pathlib.Path):
        """Reads the recipes that are shipped.

        Args:
            folder: where inputs go.
        """
        self._folder = folder
        self._path = folder / "fuzz.gin"
        root = pathlib.Path(__file__).resolve().parents[2]
        paths = [*(root / "gin").glob("*.gin"), *(root / "gin" / "parts").glob("*.gin")]
        self._shipped = [path.read_bytes() for path in sorted(paths)]
        self._whole = [
            str(path)
            for path in sorted((root / "gin").glob("*digits*.gin"))
            if "full" not in path.name
        ]
        self._titles = [plugin.title for plugin in plugins.installed()]
        self._keys: list[str] = []
        for recipe in self._whole:
            start = ["train.initialize = 'x'"] if "_pre" not in recipe else []
            start = [] if "supervised" in recipe else start
            read = config.read([recipe], start)
            self._keys += [
                f"{target}.{name}"
                for target, known in read.signatures.items()
                for name in known.parameters
            ]

    def attempt(self, draw: random.Random) -> str:
        """Implements `Target.attempt`."""
        overrides = [
            self._override(draw) for _ in range(draw.choice((0, 0, 0, 1, 1, 2)))
        ]
        if overrides and draw.random() < 0.7:
            recipes = [draw.choice(self._whole)]
        else:
            self._path.write_bytes(self._recipe(draw))
            recipes = [str(self._path)]
        if draw.random() < 0.1:
            stages = config.read_stages(recipes)
            for name in stages.recipes:
                config.read_stage(stages, name, overrides, workdir="W")
            return READ
        read = config.read(recipes, overrides)
        text = read.render()
        self._path.write_text(text)
        again = config.read([str(self._path)])
        if again.render().partition("\n")[2] != text.partition("\n")[2]:
            raise Finding("a resolved configuration reads as another one")
        return READ

    def _recipe(self, draw: random.Random) -> bytes:
        match draw.randrange(10):
            case 0 | 1 | 2:
                return damaged(draw.choice(self._shipped), draw)
            case 3:
                return draw.randbytes(draw.randrange(200))
            case 4:
                depth = draw.choice((30, 150, 1000, 30_000))
                left, right = draw.choice(("()", "[]", ("{1:", "}"), ("(", ""), "-1"))
                nested = f"{left * depth}1{right * depth}"
                return f"train.seed = {nested}\n".encode()
            case 5:
                # Each has twice the length of the one before.
                count = draw.choice((5, 40))
                lines = [f"m{n} = (%m{n - 1}, %m{n - 1})" for n in range(1, count)]
                lines += ["m0 = 1", f"train.seed = %m{count - 1}"]
                return "\n".join(lines).encode()
            case 6:
                count = draw.choice((50, 3000))
                lines = [f"m{n} = %m{n - 1}" for n in range(1, count)]
                lines += ["m0 = 1", f"train.seed = %m{count - 1}"]
                return "\n".join(lines).encode()
        lines = []
        if draw.random() < 0.5:
            lines.append(f"include '{draw.choice(self._whole)}'")
        for _ in range(draw.randrange(6)):
            if draw.random() < 0.4:
                lines.append(draw.choice(_LINES))
            else:
                lines.append(self._override(draw))
        return "\n".join(lines).encode("utf-8", "surrogatepass")

    def _override(self, draw: random.Random) -> str:
        if draw.random() < 0.05:
            return draw.choice(_LINES)
        key = draw.choice(self._keys)
        if draw.random() < 0.25:
            key = f"{draw.choice(_NAMES)}.{draw.choice((*_NAMES, 'steps', 'seed'))}"
        elif draw.random() < 0.1:
            place = draw.randrange(len(key))
            key = key[:place] + draw.choice(("", ".", "/", "x", " ")) + key[place + 1 :]
        if draw.random() < 0.1:
            key = f"{draw.choice(_NAMES)}/{key}"
        return f"{key} = {self._value(draw, 0)}"

    def _value(self, draw: random.Random, deep: int) -> str:
        if deep > 3 or draw.random() < 0.7:
            if draw.random() < 0.3:
                title = draw.choice(self._titles)
                return f"@{title}{draw.choice(('', '()'))}"
            return draw.choice(_SCALARS)
        inner = [self._value(draw, deep + 1) for _ in range(draw.randrange(3))]
        match draw.randrange(3):
            case 0:
                return f"({', '.join(inner)},)" if inner else "()"
            case 1:
                return f"[{', '.join(inner)}]"
        return "{" + ", ".join(f"{one}: {one}" for one in inner) + "}"
