"""Distributions with wrong plugins: metadata, entry points, modules."""

from __future__ import annotations

import importlib
import pathlib
import random
import shutil
import sys

from fake_distribution import install
from faults.fuzzing import READ, REFUSED, Finding, Target, damaged

from sslkit import config, plugins
from sslkit.errors import UserError

_GOOD = """
from sslkit.api import Schedule


class Plugin(Schedule):
    def __init__(self, *, base: float = 1.0):
        self.base = base

    def rate(self, step, *, steps, batch_size, examples):
        return self.base
"""
_SOURCES = (
    _GOOD,
    "raise RuntimeError('no')",
    "raise RuntimeError('two\\nlines')",
    "raise RuntimeError",
    "raise BaseException('neither')",
    "raise GeneratorExit",
    "raise SystemExit(0)",
    "import sys; sys.exit('bye')",
    "raise MemoryError",
    "raise RecursionError",
    "def deep(): deep()\ndeep()",
    "import no_such_module_anywhere",
    "from sslkit.api import NoSuchThing as Plugin",
    "1 / 0",
    "syntax error here",
    "\0",
    "\ufeffPlugin = 3",
    "Plugin = 3",
    "class Plugin: pass",
    "Plugin = property(lambda self: 1 / 0)",
    "def __getattr__(name): raise KeyError(name)",
    "def Plugin(**options): return 3",
    "x = " + "(" * 150 + "1" + ")" * 150,
    "x = " + "-" * 20_000 + "1",
    "x = " + "[" * 5000,
    "from __main__ import nothing",
    _GOOD.replace("*, base: float = 1.0", "**base"),
    _GOOD.replace("float", "'('"),
    _GOOD.replace("float", "no.such[thing]"),
    _GOOD.replace("float", "'" + "[" * 5000 + "'"),
    _GOOD.replace("1.0", "1 / 0"),
    _GOOD.replace("class Plugin(Schedule)", "class Plugin(Schedule, metaclass=abc)"),
    _GOOD + "\nclass Plugin(Plugin): pass\n",
    _GOOD.replace("rate", "wrong"),
)
_VALUES = (
    "{module}:Plugin",
    "{module}",
    "{module}:",
    ":Plugin",
    "",
    ":",
    "{module}:Plugin.inner",
    "{module}:Plugin [extra]",
    "{module}.inner:Plugin",
    ".{module}:Plugin",
    "..:..",
    "not valid:at all",
    "os:system",
    "sys:exit",
    "__main__:x",
    "{module}:{module}",
    "\N{SNOWMAN}:x",
)


class EntryPoints(Target):
    """A distribution with a schedule, listed, read and loaded."""

    name = "plugins"

    def __init__(self, folder: pathlib.Path):
        """Keeps the folder.

        Args:
            folder: where inputs go.
        """
        self._site = folder / "site"
        root = pathlib.Path(__file__).resolve().parents[2]
        self._recipe = str(root / "gin" / "fnc_digits_pretrain.gin")
        self._number = 0

    def attempt(self, draw: random.Random) -> str:
        """Implements `Target.attempt`."""
        # A module is imported once per process, so each has another name.
        self._number += 1
        module = f"fuzzed_{self._number}"
        shutil.rmtree(self._site, ignore_errors=True)
        self._site.mkdir()
        self._install(module, draw)
        sys.path.insert(0, str(self._site))
        importlib.invalidate_caches()
        try:
            return self._use(module)
        finally:
            sys.path.remove(str(self._site))
            for name in [name for name in sys.modules if name.startswith(module)]:
                del sys.modules[name]
            importlib.invalidate_caches()

    def _install(self, module: str, draw: random.Random) -> None:
        value = _VALUES[0] if draw.random() < 0.6 else draw.choice(_VALUES)
        name = module if draw.random() < 0.9 else draw.choice(("", "a b", "x.y", "="))
        group = "sslkit.schedules"
        if draw.random() < 0.1:
            group = draw.choice(("sslkit.", "sslkit.x", "sslkit.reporters", "] ["))
        source = _GOOD if draw.random() < 0.3 else draw.choice(_SOURCES)
        if source == _GOOD and draw.random() < 0.3:
            source = damaged(source.encode(), draw).decode("latin-1")
        install(
            self._site,
            f"acme-{module}",
            entry_points={group: {name: value.format(module=module)}},
            modules={f"{module}.py": source},
            requires=draw.choice(
                ([], ["sslkit>=0.1"], ["sslkit>9"], ["sslkit !!"], ["sslkit; no > 3"])
            ),
        )
        if draw.random() < 0.3:
            (info,) = self._site.glob("*.dist-info")
            path = info / draw.choice(("METADATA", "entry_points.txt"))
            match draw.randrange(4):
                case 0:
                    path.write_bytes(b"")
                case 1:
                    path.unlink()
                case 2:
                    path.write_bytes(b"\xff\xfe" + path.read_bytes())
                case 3:
                    path.write_bytes(damaged(path.read_bytes(), draw))

    def _use(self, module: str) -> str:
        # Other installed plugins still work.
        known = {plugin.title for plugin in plugins.installed()}
        if "objectives.fnc" not in known:
            raise Finding("a broken distribution hides those that are not")
        plugins.others(known)
        if any("\n" in line for line in plugins.strays()):
            raise Finding(f"not one line: {plugins.strays()}")
        config.read([self._recipe])
        plugins.load("schedules", "cosine")
        try:
            override = f"train.schedule = @schedules.{module}()"
            config.read([self._recipe], [override])
            plugins.load("schedules", module)
        except UserError as error:
            if "\n" in str(error):
                raise Finding(f"not one line: {error}") from error
            return REFUSED
        return READ
