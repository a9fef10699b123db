"""Running a recipe: training to its end, continuing a run, evaluating the result."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

from sslkit import config, plugins, runs
from sslkit.api import Objective
from sslkit.checkpoints import Checkpoints
from sslkit.errors import UserError
from sslkit.evaluate.results import Results
from sslkit.training.continuing import changed_since
from sslkit.training.failures import explained
from sslkit.training.interrupt import stopping
from sslkit.training.maintenance import heeding
from sslkit.training.run import Training
from sslkit.workdir import Workdir

Mode = Literal["train-then-evaluate", "train", "evaluate"]
"""What to do; `evaluate` measures the latest checkpoint."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """What an evaluation found."""

    results: Results
    result: Mapping[str, Any]
    """The results as plain values, as `result.json` holds it, with the step."""
    written: str | None
    """The file that it was written to; None if it was not written."""
    skipped: Sequence[str]
    """Lines about the images that could not be read."""


@dataclasses.dataclass(frozen=True)
class Run:
    """The state of a run after one call."""

    workdir: str
    """Its folder."""
    step: int
    """Updates that are done."""
    steps: int
    """Updates of the whole run."""
    result: Mapping[str, Any] | None
    """The latest evaluation, as `result.json` holds it: `step`, `rows`, `health`,
    `health_split`, `notes`; None before the first."""
    measured: Measured | None
    """The evaluation of this call; None if it made none."""
    trained: bool
    """Whether this call did any update."""
    contrasts: bool
    """Whether its objective says how it compares images (`Objective.compared`), so that
    `sslkit audit` measures the false negatives of its own comparison."""

    @property
    def finished(self) -> bool:
        """Whether all updates are done."""
        return self.step >= self.steps


def train(
    gin: str | Sequence[str],
    overrides: str | Sequence[str] = (),
    *,
    workdir: str | os.PathLike[str],
    stage: str | None = None,
    data_dir: str | None = None,
    mode: Mode = "train-then-evaluate",
    extend: bool = False,
) -> Run:
    """Does what `sslkit train` does, in this process; see `sslkit.train`."""
    if mode not in get_args(Mode):
        raise UserError(
            f"mode is {mode!r}; it must be one of {', '.join(get_args(Mode))}."
        )
    recipes, settings = _texts("gin", gin), _texts("set", overrides)
    if not isinstance(workdir, str | os.PathLike):
        raise UserError(f"workdir is {workdir!r}; give the path of a folder.")
    folder = os.fspath(workdir)
    stages = config.read_stages(recipes)
    if not stages.recipes:
        if stage is not None:
            raise UserError(f"{', '.join(recipes)} has no stages; leave out stage.")
        resolution = config.read(recipes, settings, data_dir=data_dir)
    elif stage is None:
        raise UserError(
            f"{', '.join(recipes)} has several stages. Call this once for each, with "
            f"stage = one of: {', '.join(stages.recipes)}."
        )
    else:
        resolution = config.read_stage(
            stages, stage, settings, data_dir=data_dir, workdir=folder
        )
        folder = config.stage_workdir(folder, stage)
    return carry_out(resolution, folder, mode=mode, extend=extend)


def _texts(name: str, given: object) -> list[str]:
    """Returns one text or path, or several, as a list of texts."""
    several = [given] if isinstance(given, str | os.PathLike) else given
    if isinstance(several, Iterable):
        texts = list(several)
        if all(isinstance(one, str | os.PathLike) for one in texts):
            return [os.fspath(one) for one in texts]
    raise UserError(f"{name} is {given!r}; give a text, or a list of texts.")


def carry_out(
    resolution: config.Resolution,
    folder: str,
    *,
    mode: Mode = "train-then-evaluate",
    extend: bool = False,
    say: Callable[[str], None] = print,
) -> Run:
    """Trains or continues, or finds that all steps are done; then evaluates.

    Args:
        resolution: the recipe, after reading.
        folder: the run's workdir.
        mode: what to do.
        extend: whether to continue although the data has changed, or for more steps
            than the run was started with.
        say: prints a line for the user.

    Raises:
        UserError: if something is wrong that the user can mend.
        Stopped: after a signal, once the state is saved.
    """
    with stopping(), heeding(say):
        return _carry_out(resolution, folder, mode=mode, extend=extend, say=say)


def _carry_out(
    resolution: config.Resolution,
    folder: str,
    *,
    mode: Mode,
    extend: bool,
    say: Callable[[str], None],
) -> Run:
    # Said before any plugin is imported.
    for line in plugins.others(resolution.targets()):
        say(f"plugins: {line}")
    loaded = config.load_resolved(resolution)
    for note in resolution.notes:
        say(f"note: {note}")
    training: Training = loaded.train()
    with training.arithmetic.held():
        return _carried_out(loaded, training, folder, mode, extend=extend, say=say)


def _carried_out(
    loaded: config.Config,
    training: Training,
    folder: str,
    mode: Mode,
    *,
    extend: bool,
    say: Callable[[str], None],
) -> Run:
    workdir = Workdir(folder)
    if mode == "evaluate":
        workdir.config()  # refuses a folder that is not a run's
    before = workdir.result()
    checkpoints = Checkpoints(workdir.checkpoints)
    with explained(training):
        training.check(fresh=checkpoints.latest() is None)
    planned = runs.evaluation(loaded, training)
    if mode != "train":
        # The evaluation may be hours away; whatever it lacks must be known now.
        why_not = planned.check()
        if why_not is not None:
            for line in why_not.lines("no accuracies will be measured"):
                say(line)
    measures = runs.measures(training, planned, say)
    resolved = loaded.resolution.render()
    config.claim(workdir, resolved, write=False, extend=extend)
    trained = False
    if mode == "evaluate":
        for line in changed_since(workdir, training.data, ["train", "test"]):
            say(f"note: {line}")
        say(f"step {training.load(workdir)} of {folder}")
    else:
        # Before anything is written, because the workdir's config.gin must stay that of
        # its run.
        training.check_continuing(workdir, extend=extend)
        chief = training.runner.is_chief
        with workdir.alone(say) if chief else contextlib.nullcontext() as owner:
            config.claim(workdir, resolved, write=chief, extend=extend)
            trained = training.run(
                workdir, measures=measures, extend=extend, say=say, owner=owner
            )
    known = before is not None and before["step"] == training.steps
    measured = None
    if training.runner.is_chief and (
        mode == "evaluate" or (mode != "train" and (trained or not known))
    ):
        measured = measure(loaded, training, None)
        step = measured.result["step"]
        # Reported before it is saved. A run that is killed in between evaluates and
        # reports again; in the other order, it would never report.
        training.reporting(workdir, step, say).result(measured.result)
        written = workdir.write_result(measured.result)
        measured = dataclasses.replace(measured, written=written)
    return Run(
        workdir=folder,
        step=int(training.state.step.numpy()),
        steps=training.steps,
        result=measured.result if measured is not None else before,
        measured=measured,
        trained=trained,
        contrasts=type(training.objective).compared is not Objective.compared,
    )


def measure(
    loaded: config.Config,
    training: Training,
    keep: Callable[[Mapping[str, Any]], str] | None,
    **settings: Any,
) -> Measured:
    """Evaluates the encoder in its present state.

    Args:
        loaded: the configuration.
        training: holds the encoder.
        keep: writes the result and returns the file's path; None to write nothing.
        **settings: arguments of `sslkit.evaluate.protocol.evaluate`, which override the
            recipe's.
    """
    results = runs.evaluation(loaded, training, **settings).measure()
    result = {"step": int(training.state.step.numpy()), **results.to_json()}
    return Measured(
        results=results,
        result=result,
        written=None if keep is None else keep(result),
        skipped=training.data.skipped(),
    )
