"""Laws of augmentations."""

from __future__ import annotations

from typing import get_args

import numpy as np
import tensorflow as tf

from sslkit.api import Augmentation, DeviceKind, Views
from sslkit.batch import stack_shapes, view_major
from sslkit.testing.devices import strategy
from sslkit.testing.law import Broken, Subject

_SEED = (3, 4)
_BATCH = 8


def _picture(height: int = 20, width: int = 24) -> np.ndarray:
    draw = np.random.default_rng(height)
    return draw.integers(0, 256, [height, width, 3]).astype(np.uint8)


def _example(
    augmentation: Augmentation, seed: tuple[int, int] = _SEED
) -> dict[str, np.ndarray]:
    made = augmentation.example(tf.constant(_picture()), tf.constant(seed, tf.int32))
    return {name: stack.numpy() for name, stack in made.items()}


def _shown(subject: Subject) -> tuple[Augmentation, dict[str, np.ndarray]]:
    """Returns one of it and its views of the picture; made once, which may compile."""
    if "shown" not in subject.runs:
        made = subject.make()
        subject.runs["shown"] = made, _example(made)
    return subject.runs["shown"]


def _views(augmentation: Augmentation) -> Views:
    """Returns uint8 views of a batch: noise that also has black and white pixels."""
    draw = np.random.default_rng(0)
    odds = [0.1, *[0.8 / 254] * 254, 0.1]
    return Views(
        {
            layout: tf.constant(draw.choice(256, shape, p=odds).astype(np.uint8))
            for layout, shape in stack_shapes(augmentation.groups, _BATCH).items()
        }
    )


def _seeds() -> tf.Tensor:
    return tf.constant([[7, row] for row in range(_BATCH)], tf.int32)


def gives_the_same_views_for_a_seed(subject: Subject) -> None:
    """With global random state, a resumed run got other views."""
    augmentation, first = _shown(subject)
    again = _example(subject.make())
    other = _example(augmentation, seed=(3, 5))
    for name, stack in first.items():
        if np.any(stack != again[name]):
            raise Broken(
                f"the same seed gives two different views of {name}",
                "Draw with sslkit.views.uniform or tf.random.stateless_*, and the seed "
                "that `example` gets",
            )
    if all(np.all(stack == other[name]) for name, stack in first.items()):
        raise Broken("another seed gives the same views", "Use the seed")


def makes_views_that_match_its_groups(subject: Subject) -> None:
    """A group of another size or count was an error only later, in the objective."""
    augmentation = subject.make()
    if dict(augmentation.groups) != dict(subject.make().groups):
        raise Broken("`groups` differs between two instances", "Make it a constant")
    augmentation, made = _shown(subject)
    wanted = {
        name: (count, size, size, 3)
        for name, (count, size) in augmentation.groups.items()
    }
    found = {name: stack.shape for name, stack in made.items()}
    if found != wanted:
        raise Broken(
            f"example makes {found}, but by `groups` it must be {wanted}",
            "Compute both from the same options",
        )
    types = {stack.dtype.name for stack in made.values()}
    if types != {"uint8"}:
        raise Broken(
            f"example makes {', '.join(sorted(types))}",
            "Return uint8, a quarter of the data, e.g. by sslkit.views.to_uint8",
        )


def runs_in_tf_data(subject: Subject) -> None:
    """NumPy, or a shape that is known only in eager mode, failed in the pipeline."""
    augmentation = subject.make()
    pictures = [_picture(20, 24), _picture(9, 31), _picture(16, 16)]
    data = tf.data.Dataset.from_generator(
        lambda: iter(pictures),
        output_signature=tf.TensorSpec([None, None, 3], tf.uint8),
    )
    seed = tf.constant(_SEED, tf.int32)
    try:
        mapped = data.map(lambda image: augmentation.example(image, seed))
        made = list(mapped)
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        raise Broken(
            f"example fails inside tf.data ({type(error).__name__}: {lines[-1]})",
            "Use only TensorFlow operations, and tf.shape if a size is not known",
        ) from error
    _, eager = _shown(subject)
    for name, stack in eager.items():
        shape = mapped.element_spec[name].shape
        if shape != stack.shape:
            raise Broken(
                f"in a graph {name} has the shape {shape}",
                f"Make it static: tf.ensure_shape(views, {list(stack.shape)})",
            )
    for name, stack in made[0].items():
        if np.any(stack.numpy() != eager[name]):
            raise Broken(
                f"the views of {name} in a graph differ from those in eager mode",
                "Draw everything in TensorFlow: Python draws only once, while tracing",
            )


def makes_the_same_views_on_a_gpu_as_on_a_cpu(subject: Subject) -> None:
    """A run that was continued on another kind of device got other views."""
    given = subject.make()
    told = {kind: given.on(kind) for kind in get_args(DeviceKind)}
    for kind, other in told.items():
        if not isinstance(other, Augmentation) or dict(other.groups) != dict(
            given.groups
        ):
            raise Broken(
                f"on({kind!r}) does not return an augmentation with the same groups",
                "Return a copy, or the object itself",
            )
    if told["CPU"] is told["GPU"]:
        return
    images = {kind: _finished(told[kind]) for kind in ("CPU", "GPU")}
    for name, expected in images["CPU"].items():
        # One step of 8 bits, as views come from the host as uint8, and a few more.
        apart = np.mean(np.abs(images["GPU"][name] - expected) > 1.01 / 255)
        if apart > 0.01:
            raise Broken(
                f"after on('GPU'), {apart:.0%} of the values of {name} differ from "
                "those after on('CPU') by more than 1/255",
                "Draw the same numbers in the same order on all kinds of devices",
            )


def _finished(augmentation: Augmentation) -> dict[str, np.ndarray]:
    """Returns the views of a few examples, after both `example` and `batch`."""
    seeds = _seeds()[:4]
    made = [augmentation.example(tf.constant(_picture()), seed) for seed in seeds]
    stacked = {name: tf.stack([views[name] for views in made]) for name in made[0]}
    finished = augmentation.batch(
        view_major(stacked),
        step_seed=tf.constant([1, 2], tf.int32),
        example_seeds=seeds,
    )
    return {name: group.numpy() for name, group in finished.items()}


def stays_in_the_unit_interval(subject: Subject) -> None:
    """Pixels outside [0, 1] got into the network, after the device's part."""
    augmentation = subject.make().on("GPU")
    views = _views(augmentation)
    made = augmentation.batch(
        views, step_seed=tf.constant([1, 2], tf.int32), example_seeds=_seeds()
    )
    if {n: v.shape for n, v in made.items()} != {n: v.shape for n, v in views.items()}:
        raise Broken(
            "batch changes groups or shapes", "Return every group in its own shape"
        )
    for name, value in made.items():
        if value.dtype != tf.float32:
            raise Broken(f"batch makes {name} {value.dtype.name}", "Return float32")
        low, high = float(tf.reduce_min(value)), float(tf.reduce_max(value))
        if not (low >= 0 and high <= 1):
            raise Broken(
                f"batch makes {name} from {low:.4g} to {high:.4g}",
                "Clip to [0, 1] after the last operation",
            )
        if high <= 2 / 255:
            raise Broken(
                f"batch makes {name} black: nothing is above {high:.2g}",
                "Divide by 255 once",
            )


def finishes_batches_the_same_on_two_replicas(subject: Subject) -> None:
    """Random numbers on the device depended on the number of replicas."""
    augmentation = subject.make().on("GPU")
    views, seeds = _views(augmentation), _seeds()
    results = {}
    # Two are enough to find it, and each further copy of the graph takes seconds.
    for replicas in (1, 2):
        place = strategy(replicas)
        share = _BATCH // replicas

        @tf.function(autograph=False)
        def finish(place=place, share=share):
            def one() -> dict[str, tf.Tensor]:
                from sslkit import replica

                start = replica.index() * share

                def own(stack: tf.Tensor) -> tf.Tensor:
                    count, _, *shape = stack.shape
                    rows = stack[:, start : start + share]
                    return tf.ensure_shape(rows, [count, share, *shape])

                made = augmentation.batch(
                    views.map(own),
                    step_seed=tf.constant([1, 2], tf.int32),
                    example_seeds=tf.ensure_shape(
                        seeds[start : start + share], [share, 2]
                    ),
                )
                return dict(made)

            return place.run(one)

        results[replicas] = {
            name: np.concatenate(
                [part.numpy() for part in place.experimental_local_results(value)],
                axis=1,
            )
            for name, value in finish().items()
        }
    for name, value in results[2].items():
        error = float(np.max(np.abs(value - results[1][name])))
        # For fewer rows, the same float32 operations may be in another order.
        if error > 1e-5:
            raise Broken(
                f"on 2 replicas {name} differs from one by {error:.2g}",
                "Draw with sslkit.views.uniform: for an image with its row of "
                "example_seeds, for the whole batch with step_seed",
            )
