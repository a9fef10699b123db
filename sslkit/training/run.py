"""What recipes bind as `train`: the parts of a training run, and running it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Literal

import tensorflow as tf

from sslkit.api import (
    Augmentation,
    Backbone,
    NonNegativeInt,
    Objective,
    Optimizer,
    PositiveFloat,
    PositiveInt,
    Reporter,
    Runner,
    Schedule,
    Seed,
    UserError,
    checked,
)
from sslkit.checkpoints import Checkpoints, Keep, find_checkpoint, restore
from sslkit.data.batches import (
    check_batch_size,
    training_batches,
)
from sslkit.data.dataset import Data
from sslkit.data.labelling import Labelling
from sslkit.nn.precision import layers_in
from sslkit.ownership import Owner
from sslkit.source import Source
from sslkit.training.accumulating import in_parts
from sslkit.training.actions import Action
from sslkit.training.arithmetic import Arithmetic
from sslkit.training.continuing import check_continuing
from sslkit.training.course import to_the_end
from sslkit.training.describing import describe
from sslkit.training.failures import explained
from sslkit.training.guard import Guard
from sslkit.training.initialize import initialize
from sslkit.training.labels import check_labels, labels_read
from sslkit.training.numbers import OnNonFinite
from sslkit.training.reporting import Reporting, chosen, run_info
from sslkit.training.state import TrainState
from sslkit.training.step import TrainStep
from sslkit.training.trying import check_example, check_rate, check_source
from sslkit.workdir import Workdir


class Training:
    """One training run: pretraining, fine-tuning or linear evaluation."""

    @checked
    def __init__(
        self,
        *,
        objective: Callable[[], Objective],
        augmentation: Augmentation,
        data: Data,
        optimizer: Optimizer,
        schedule: Schedule,
        runner: Runner,
        batch_size: PositiveInt,
        accumulate: PositiveInt = 1,
        epochs: PositiveFloat | None = None,
        steps: PositiveInt | None = None,
        seed: Seed = 0,
        initialize: str | None = None,
        restore: Sequence[str] | None = None,
        variable_schema: str | None = None,
        log_every: PositiveInt = 10,
        checkpoint_every: PositiveInt = 1000,
        keep: PositiveInt = 3,
        keep_best: str | None = None,
        keep_every_hours: PositiveFloat | None = None,
        knn_every: NonNegativeInt = 0,
        health_every: NonNegativeInt = 200,
        on_nonfinite: OnNonFinite = "stop",
        inner_steps: PositiveInt | None = None,
        reporters: Sequence[Reporter] | None = None,
        precision: Literal["float32", "bfloat16"] = "float32",
        tf32: bool = True,
        deterministic: bool = False,
    ):
        """Takes the parts; nothing is built yet.

        Args:
            objective: makes the objective (a recipe binds it without parentheses).
            augmentation: makes the views.
            data: the dataset.
            optimizer: moves the weights.
            schedule: the learning rate.
            runner: the devices on which the run happens.
            batch_size: images in the global batch, over all replicas.
            accumulate: into how many parts a replica's share of the batch is divided.
                The parts are taken one after another, in the memory of one part, and
                the update uses their mean gradient. Batch normalisation sees one part
                at a time. Refused for losses that compare images.
            epochs: passes over the training split; the run has
                floor(epochs x examples / batch_size) + 1 updates.
            steps: updates of the run; if given, `epochs` is ignored.
            seed: of the initial weights, the order of examples and all views.
            initialize: a workdir or checkpoint from which initial weights are taken;
                also a checkpoint of the published TensorFlow 1 code, such as
                `model.ckpt-1234`.
            restore: regular expressions of the names of weights that are taken from it;
                `encoder/` if None.
            variable_schema: used instead of `restore` if `initialize` is a checkpoint
                of the published TensorFlow 1 code: the regular expression that is
                called so there, over the names in that checkpoint.
            log_every: updates between two lines of metrics.
            checkpoint_every: updates between two checkpoints.
            keep: how many of the newest checkpoints are kept.
            keep_best: a measure, such as `knn_top1`; the checkpoint at which it was
                best is kept too.
            keep_every_hours: hours from one checkpoint that is kept for good to the
                next.
            knn_every: updates between two kNN evaluations of the encoder; 0 for none.
            health_every: updates between two measurements of the run's health, which
                needs no labels; 0 for none.
            on_nonfinite: what is done if the loss, a gradient or the update of a step
                is not finite. Such a step changes nothing. `stop` ends the run; `skip`
                goes on with the next step, up to 10 times in a row; `rewind` goes back
                to the last checkpoint and leaves the step out, up to 3 times per
                checkpoint.
            inner_steps: updates per call to the device; None for about a second. The
                metrics of each step are kept in any case.
            reporters: who receives the metrics besides the metrics file; TensorBoard if
                None.
            precision: the type in which the network's layers multiply. Weights,
                statistics, optimizer, bank, momentum twin and loss are always float32.
            tf32: whether an NVIDIA GPU may round the factors of float32 products to
                TF32, which keeps 10 of 23 bits, as is TensorFlow's default. A TPU
                rounds to bfloat16 in any case.
            deterministic: whether to use only operations that give the same bits each
                time; slower on a GPU. A CPU gives the same bits in any case.

        Raises:
            UserError: if an argument is not what its annotation says, if neither
                `epochs` nor `steps` is given, or if `restore` or `variable_schema` is
                given without `initialize`.
        """
        if epochs is None and steps is None:
            raise UserError("bind train.epochs or train.steps: how long to train.")
        for name, given in (("restore", restore), ("variable_schema", variable_schema)):
            if given is not None and initialize is None:
                raise UserError(
                    f"train.{name} says what is taken from another run, and "
                    "train.initialize names none. Bind train.initialize, or set "
                    f"train.{name} = None to start from scratch."
                )
        self._make_objective = objective
        self.bound_augmentation = augmentation
        self.data = data
        self.optimizer = optimizer
        self.schedule = schedule
        self.runner = runner
        self.batch_size = batch_size
        self.accumulate = accumulate
        self._epochs = epochs
        self._steps = steps
        self.seed = seed
        self._initialize = initialize
        self._restore = ("encoder/",) if restore is None else tuple(restore)
        self._variable_schema = variable_schema
        self.log_every = log_every
        self.checkpoint_every = checkpoint_every
        self.keep = Keep(keep, keep_best, keep_every_hours)
        self.knn_every = knn_every
        self.health_every = health_every
        self.on_nonfinite: OnNonFinite = on_nonfinite
        self.inner_steps = inner_steps
        self._reporters = chosen(reporters)
        tf32 = tf32 or not runner.obeys_tf32
        self.arithmetic = Arithmetic(precision, tf32, deterministic)

    @functools.cached_property
    def augmentation(self) -> Augmentation:
        """Makes the views of this run, on the devices of the runner."""
        return self.bound_augmentation.on(self.runner.device)

    @functools.cached_property
    def source(self) -> Source:
        """The training split."""
        return self.data.source("train")

    @property
    def steps(self) -> int:
        """Updates of the whole run."""
        if self._steps is not None:
            return self._steps
        assert self._epochs is not None, "the constructor wants one of the two"
        return int(self._epochs * self.source.size // self.batch_size) + 1

    @property
    def size(self) -> int:
        """Side of the largest views and of evaluation views, in pixels."""
        return max(group.size for group in self.bound_augmentation.groups.values())

    @functools.cached_property
    def state(self) -> TrainState:
        """The objective and all other state of the run, built at first use."""
        return self._build()

    @property
    def objective(self) -> Objective:
        """The objective."""
        return self.state.objective

    def untrained_encoder(self) -> Backbone:
        """Builds the encoder once more, with its initial weights."""
        return self._build().objective.encoder

    def check(self, *, fresh: bool = True) -> None:
        """Builds everything that a run needs, to find mistakes before it begins.

        Args:
            fresh: whether the run has no checkpoint of its own yet, so that it starts
                from the checkpoint that `initialize` names, if any.

        Raises:
            UserError: if devices, data, objective or the checkpoint to start from are
                missing or do not fit.
        """
        # First: some devices must be set up before anything runs in TensorFlow.
        self.runner.strategy  # noqa: B018
        if self.data.connection is not None:
            self.data.connection.reach()
        for reporter in self._reporters:
            reporter.check()
        start = self._initialize if fresh else None
        if start is not None:
            find_checkpoint(start)
        check_source(self.source)
        check_example(self.augmentation)
        check_rate(self.schedule, self.steps, self.batch_size, self.source.size)
        check_labels(self.objective, self.source, self.labels)
        self.describe()
        if start is not None:
            # Tried now, and done again when the run starts, which prints the result.
            self.initialize()

    def check_continuing(
        self,
        workdir: Workdir,
        *,
        extend: bool,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Refuses to resume with other data or length; see `check_continuing`."""
        check_continuing(workdir, self.source, self.steps, extend=extend, say=say)

    def load(self, workdir: Workdir, checkpoint: str | None = None) -> int:
        """Restores a checkpoint of a run.

        Args:
            workdir: the run's folder.
            checkpoint: its prefix; None for the latest.

        Returns:
            Its step.

        Raises:
            UserError: if there is no checkpoint, or it is of another model.
        """
        table, found = self.state.table, checkpoint
        if found is None:
            found = Checkpoints(workdir.checkpoints).restore_latest(table, say=print)
        if found is None or checkpoint is not None:
            restore(table, checkpoint or find_checkpoint(workdir.path))
        return int(self.state.step.numpy())

    def run(
        self,
        workdir: Workdir,
        *,
        say: Callable[[str], None] = print,
        measures: Sequence[Action] = (),
        extend: bool = False,
        owner: Owner | None = None,
    ) -> bool:
        """Trains to the end, going on from the last checkpoint if there is one.

        Args:
            workdir: where checkpoints and metrics go; already claimed.
            say: prints a line for the user.
            measures: what the chief measures while the run goes on.
            extend: whether the run goes on with other data, or for longer, than it
                was started with.
            owner: the chief's claim of the folder, from `Workdir.alone`; None to make
                one for this call.

        Returns:
            Whether any update was left to do.

        Raises:
            UserError: for a problem that the user can solve; earlier checkpoints stay.
            Stopped: after a signal, when the state is saved.
        """
        run = functools.partial(to_the_end, self, workdir, say, measures, extend=extend)
        with self.arithmetic.held(), explained(self):
            if owner is None and self.runner.is_chief:
                with workdir.alone(say) as own:
                    return run(owner=own)
            return run(owner=owner)

    def reporting(
        self, workdir: Workdir, step: int, say: Callable[[str], None] = print
    ) -> Reporting:
        """Returns the reporters of a run that is at some step; not open yet."""
        info = run_info(workdir, self.runner.strategy, start=step, steps=self.steps)
        return Reporting(self._reporters, info, say=say)

    def describe(self) -> list[str]:
        """Returns lines that describe the run; see `sslkit.training.describing`."""
        return describe(self, self.labels)

    @functools.cached_property
    def labels(self) -> Labelling | None:
        """The training split's labelling; None if the objective reads no labels."""
        return labels_read(self.objective, self.source)

    def _build(self) -> TrainState:
        replicas = self.runner.strategy.num_replicas_in_sync
        check_batch_size(self.batch_size, replicas)
        with layers_in(self.arithmetic.precision):
            return TrainState(
                in_parts(
                    self._make_objective,
                    self.accumulate,
                    batch_size=self.batch_size,
                    replicas=replicas,
                ),
                self.optimizer,
                strategy=self.runner.strategy,
                groups=self.augmentation.groups,
                batch_size=self.batch_size // replicas // self.accumulate,
                seed=self.seed,
                steps=self.steps,
                examples=self.source.size,
            )

    def initialize(self) -> str | None:
        """Sets the weights that another run gives, where `initialize` names one.

        Returns:
            What was set, in words; None if the run starts from random weights.

        Raises:
            UserError: if there is no such run, or its variables do not fit.
        """
        if self._initialize is None:
            return None
        return initialize(
            self.state.table, self._initialize, self._restore, self._variable_schema
        )

    def train_step(self, *, leave_out: Sequence[int] = ()) -> TrainStep:
        """Returns the update that every replica makes with its share of a batch.

        Args:
            leave_out: steps that are left out, as the number of updates done after
                them.
        """
        told = None
        if leave_out:
            with self.runner.strategy.scope():
                told = tf.Variable(
                    list(leave_out),
                    trainable=False,
                    dtype=tf.int64,
                    aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
                )
        return TrainStep(
            self.state,
            self.augmentation,
            self.optimizer,
            self.schedule,
            steps=self.steps,
            batch_size=self.batch_size,
            examples=self.source.size,
            seed=self.seed,
            guard=Guard(self.state, told),
            accumulate=self.accumulate,
        )

    def batches(
        self, start: int, context: tf.distribute.InputContext
    ) -> tf.data.Dataset:
        """Returns the batches of one host from a step on; see `training_batches`."""
        return training_batches(
            self.source,
            self.augmentation,
            seed=self.seed,
            batch_size=self.batch_size,
            start_step=start,
            stop_step=self.steps,
            context=context,
            service=self.data.connection,
        )
