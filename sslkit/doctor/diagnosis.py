"""All checks of `sslkit doctor`, and their findings as text."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from sslkit import environment
from sslkit.doctor.children import Step, run_probe
from sslkit.doctor.finding import Finding
from sslkit.secrets import hide


@dataclasses.dataclass(frozen=True)
class Request:
    """What to check."""

    before: Mapping[str, str]
    """The environment variables that the command was started with."""
    workdirs: Sequence[str] = ()
    """Folders or buckets that a run is to write to."""
    data: Sequence[str] = ()
    """Folders or buckets that hold data."""
    seconds: float = 120.0
    """How long each import and each access to a folder may take."""


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What was found."""

    findings: tuple[Finding, ...]
    environment: Mapping[str, str]
    """The variables that a report shows, if they are set."""
    build: Mapping[str, object]
    """TensorFlow's build information."""

    @property
    def broken(self) -> int:
        """How many things are broken."""
        return sum(finding.level == "broken" for finding in self.findings)

    def lines(self) -> Iterator[str]:
        """Yields one line per finding, and a summary."""
        width = max((len(finding.about) for finding in self.findings), default=0)
        for level, about, said in self.findings:
            yield f"{level:6}  {about:{width}}  {said}"
        yield self.summary()

    def summary(self) -> str:
        """Returns a line that says how many things are broken."""
        if not self.broken:
            return "nothing is broken"
        return f"{self.broken} thing{'s are' if self.broken > 1 else ' is'} broken"

    def report(self) -> str:
        """Returns Markdown to paste into a bug report.

        It does not hold secrets: it shows only the environment variables in `SHOWN`,
        with stars in place of tokens in addresses and `~` for the home folder.
        """
        from sslkit.doctor.versions import PACKAGES

        system = f"{platform.platform()}, Python {platform.python_version()}"
        parts = {
            "what was found": self.lines(),
            "versions": (f"{n} {v}" for n, v in environment.versions(PACKAGES).items()),
            "TensorFlow's build": (f"{k}: {v}" for k, v in sorted(self.build.items())),
            "environment": (f"{k}={v}" for k, v in sorted(self.environment.items())),
        }
        commit = environment.commit()
        text = [f"sslkit doctor, {system}{f', commit {commit}' if commit else ''}", ""]
        for title, lines in parts.items():
            shown = list(lines) or ["none"]
            # Four spaces make each line code in Markdown.
            text += [f"{title}:", "", *(f"    {line}" for line in shown), ""]
        return hide(environment.at_home("\n".join(text)))


def diagnose(request: Request) -> Diagnosis:
    """Runs all checks; an error in a check is a finding, too."""
    steps: list[Step] = []
    findings = list(_findings(request, steps))
    from sslkit.doctor.imports import build_of
    from sslkit.doctor.settings import SHOWN

    return Diagnosis(
        findings=tuple(f._replace(said=_one_line(f.said)) for f in findings),
        environment={n: request.before[n] for n in SHOWN if n in request.before},
        build=build_of(steps),
    )


def _findings(request: Request, steps: list[Step]) -> Iterator[Finding]:
    # The imports are inside the checks, because a module that they need may be broken.
    def versions() -> Iterable[Finding]:
        from sslkit.doctor.versions import check_versions

        return check_versions()

    def settings() -> Iterable[Finding]:
        from sslkit.doctor.settings import check_settings

        return check_settings(request.before)

    def imports() -> Iterator[Finding]:
        from sslkit.doctor.imports import check_accelerators, check_imports

        steps.extend(run_probe("tensorflow", seconds=request.seconds))
        yield from check_imports(steps)
        yield from check_accelerators(steps)

    def machine() -> Iterator[Finding]:
        from sslkit.doctor.places import check_disks, check_memory

        yield from check_memory()
        yield from check_disks(list(request.workdirs))

    def places() -> Iterator[Finding]:
        from sslkit.doctor.places import check_read, check_write

        for path in request.workdirs:
            yield check_write(path, seconds=request.seconds)
        for path in request.data:
            yield check_read(path, seconds=request.seconds)

    def plugins() -> Iterable[Finding]:
        from sslkit.doctor.installed import check_plugins

        works = {step.name for step in steps if step.error is None}
        load = {"tensorflow", "keras"} <= works
        return check_plugins(seconds=request.seconds, load=load)

    for check in (versions, settings, imports, machine, places, plugins):
        yield from _guarded(check)


def _guarded(check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except Exception as error:
        said = f"they cannot be checked: {type(error).__name__}: {error}"
        yield Finding("broken", check.__name__, said)


def _one_line(text: str) -> str:
    return hide(" ".join(text.split()))
