"""The contents of distributions, and that plugins use only the public interface."""

from __future__ import annotations

import ast
import os
import pathlib
import runpy
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest

REPOSITORY = pathlib.Path(__file__).parent.parent
PUBLIC = (
    "sslkit.api",
    "sslkit.deprecation",
    "sslkit.errors",
    "sslkit.nn",
    "sslkit.objectives",
    "sslkit.randomness",
    "sslkit.replica",
    "sslkit.testing",
    "sslkit.views",
)
PLUGINS = sorted((REPOSITORY / "plugins").glob("*/pyproject.toml"))


def imports(path: pathlib.Path) -> set[str]:
    """Returns the modules a file imports, `from sslkit import x` as sslkit.x."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = {f"{module}.{alias.name}" for alias in node.names}
            found |= names if module == "sslkit" else {module}
    return found


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.parent.name)
def test_a_plugin_imports_only_what_any_plugin_may(plugin):
    own = f"sslkit_{plugin.parent.name}"
    files = sorted((plugin.parent / own).rglob("*.py"))
    assert files
    for path in files:
        for module in imports(path):
            top = module.partition(".")[0]
            allowed = (
                module in PUBLIC
                if top == "sslkit"
                else top in {own, "keras", "numpy", "tensorflow"}
                or top in sys.stdlib_module_names
            )
            assert allowed, f"{path} imports {module}"


def test_the_core_does_not_know_the_plugins():
    for path in (REPOSITORY / "sslkit").rglob("*.py"):
        tops = {module.partition(".")[0] for module in imports(path)}
        assert not {"sslkit_fnc", "sslkit_simclr"} & tops, path


def wheel_of(
    source: pathlib.Path, out: pathlib.Path, **environment: str
) -> pathlib.Path:
    """Builds a wheel from a copy of a project, with the tools that are installed."""
    copy = out / "source"
    shutil.copytree(
        source,
        copy,
        ignore=shutil.ignore_patterns(".git", "build", "*.egg-info", "runs", ".*cache"),
    )
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"),
            *("--no-build-isolation", "--wheel-dir", str(out), str(copy)),
        ],
        check=True,
        capture_output=True,
        env={**os.environ, **environment},
    )
    shutil.rmtree(copy)
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The wheel that `pip install .` installs."""
    return wheel_of(REPOSITORY, tmp_path_factory.mktemp("whole"))


def test_one_wheel_holds_core_plugins_and_recipes(whole):
    names = set(zipfile.ZipFile(whole).namelist())
    recipes = {
        f"sslkit/recipes/{path.relative_to(REPOSITORY).as_posix()}"
        for path in (REPOSITORY / "gin").rglob("*.gin")
    }
    assert len(recipes) > 10
    assert recipes <= names
    assert "sslkit/py.typed" in names
    templates = {"page.html.j2", "page.css", "page.js"}
    assert {f"sslkit/page/templates/{name}" for name in templates} <= names
    assert {"sslkit_fnc/objective.py", "sslkit_simclr/objective.py"} <= names
    assert not [name for name in names if "tests/" in name]
    # A folder called gin with code in it would hide gin-config.
    assert not [name for name in names if name.startswith("gin/")]


def test_the_wheel_announces_what_the_plugins_announce(whole):
    archive = zipfile.ZipFile(whole)
    (listing,) = (n for n in archive.namelist() if n.endswith("entry_points.txt"))
    text = archive.read(listing).decode()
    for line in (
        "fnc = sslkit_fnc.objective:FNC",
        "simclr = sslkit_simclr.objective:SimCLR",
        "resnet = sslkit.nn.resnet:ResNet",
        "sslkit = sslkit.cli.main:main",
    ):
        assert line in text


def test_the_wheel_needs_what_the_core_and_the_plugins_need(whole):
    archive = zipfile.ZipFile(whole)
    (listing,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
    found = {
        line.removeprefix("Requires-Dist: ")
        for line in archive.read(listing).decode().splitlines()
        if line.startswith("Requires-Dist: ") and "extra ==" not in line
    }
    assert {"numpy>=1.26", "gin-config>=0.5", "stevedore>=5"} <= found
    # Packages in the wheel itself are not required.
    assert not [name for name in found if name.startswith("sslkit")]


@pytest.fixture
def checkout(tmp_path):
    """The core with plugins that the test makes."""

    def make(**plugins: str):
        shutil.copy(REPOSITORY / "setup.py", tmp_path)
        shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
        (tmp_path / "gin").mkdir()
        for name, text in plugins.items():
            folder = tmp_path / "plugins" / name
            folder.mkdir(parents=True)
            (folder / "pyproject.toml").write_text(
                f'[project]\nname = "acme-{name}"\n{text}\n'
                f'[tool.setuptools]\npackages = ["acme_{name}"]\n'
            )
        return runpy.run_path(str(tmp_path / "setup.py"))["distribution"](tmp_path)

    return make


ANNOUNCES = '[project.entry-points."sslkit.objectives"]\nmine = "acme:Mine"'


def test_two_plugins_that_announce_one_name_are_an_error(checkout):
    with pytest.raises(SystemExit) as error:
        checkout(one=ANNOUNCES, two=ANNOUNCES)
    message = str(error.value)
    assert message.startswith("objectives.mine is announced twice: by acme-one (")
    assert "plugins/one) and by acme-two (plugins/two). Give one" in message


def test_a_plugin_that_announces_a_name_of_the_core_is_an_error(checkout):
    with pytest.raises(SystemExit, match="supervised is announced twice: by ssl"):
        checkout(one=ANNOUNCES.replace("mine", "supervised"))


def test_the_dependencies_of_plugins_reach_the_distribution(checkout):
    plugins = {
        "one": 'dependencies = ["sslkit>=0.1", "acme_two", "timm>=1; a != \'b\'"]',
        "two": 'dependencies = ["numpy>=1.26", "einops[jax] >= 0.7"]',
    }
    found = checkout(**plugins)["install_requires"]
    assert found[-2:] == ["timm>=1; a != 'b'", "einops[jax] >= 0.7"]
    assert found.count("numpy>=1.26") == 1
    assert not [name for name in found if name.startswith(("sslkit", "acme"))]
    assert len(found) > 10


@pytest.mark.slow
def test_core_and_plugins_install_apart(tmp_path):
    """Only the core, then the wheel of each plugin, in an environment without them."""
    home = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    python = home / "bin" / "python"
    purelib = sysconfig.get_path("purelib", vars={"base": str(home)})
    # The dependencies come from this environment; sslkit itself must not.
    dependencies = tmp_path / "dependencies"
    dependencies.mkdir()
    places = [pathlib.Path(p) for p in sys.path if p.endswith("site-packages")]
    for item in (item for place in places for item in place.iterdir()):
        if "sslkit" not in item.name and not (dependencies / item.name).exists():
            (dependencies / item.name).symlink_to(item)
    pathlib.Path(purelib, "dependencies.pth").write_text(f"{dependencies}\n")

    def install(wheel: pathlib.Path) -> None:
        command = [python, "-m", "pip", "install", "--quiet", "--no-deps", wheel]
        subprocess.run(command, check=True)

    def listed() -> str:
        command = [home / "bin" / "sslkit", "plugins"]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=tmp_path
        ).stdout

    core = tmp_path / "core"
    core.mkdir()
    install(wheel_of(REPOSITORY, core, SSLKIT_CORE_ONLY="1"))
    assert "sslkit_fnc" not in listed()
    for plugin in PLUGINS:
        out = tmp_path / plugin.parent.name
        out.mkdir()
        install(wheel_of(plugin.parent, out))
        assert f"sslkit-{plugin.parent.name} 0.1.0" in listed()
        project = tmp_path / f"tests_of_{plugin.parent.name}"
        shutil.copytree(plugin.parent / "tests", project / "tests")
        # The tests may have another conftest, below this one.
        shutil.copy(REPOSITORY / "conftest.py", project)
        subprocess.run([python, "-m", "pytest", "-q", "."], check=True, cwd=project)
