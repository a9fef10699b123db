"""The augmentations: laws over all of them, and the published pipelines."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from sslkit.api import ViewGroup, Views
from sslkit.batch import view_major
from sslkit.errors import UserError
from sslkit.views import (
    ContrastiveViews,
    CropFlip,
    RandAugment,
    crop,
    draw_jitter,
    evaluation_view,
)
from sslkit.views.groups import check_groups


def contrastive(**changed) -> ContrastiveViews:
    arguments = {
        "groups": {"instance": ViewGroup(2, 32), "support": ViewGroup(3, 32)},
        "area": (0.08, 1.0),
        "flip": True,
        "strength": 1.0,
        "randaugment": RandAugment(translate=14, cutout=6),
        "gray": 0.2,
        "blur": True,
        "kernel": "legacy",
        "placement": "device",
    }
    return ContrastiveViews(**{**arguments, **changed})


AUGMENTATIONS = {
    "crop_flip": lambda: CropFlip(size=24, count=3),
    "contrastive": contrastive,
    "host": lambda: contrastive(strength=0.0, kernel="modern", placement="host"),
}

SHAPES = [(1, 1), (3, 500), (32, 32), (60, 40)]


# "host" takes seconds to compile; the laws hold fnc to the same on a CPU.
@pytest.fixture(
    params=[
        pytest.param(make, id=name, marks=pytest.mark.slow if name == "host" else ())
        for name, make in AUGMENTATIONS.items()
    ],
    scope="module",
)
def augmentation(request):
    return request.param()


@pytest.fixture
def eagerly():
    """Compiles nothing, which takes seconds."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def photo(height: int = 40, width: int = 52) -> tf.Tensor:
    rows = np.linspace(0, 255, height)[:, None, None]
    columns = np.linspace(0, 255, width)[None, :, None]
    channels = np.array([1.0, 0.7, 0.3])
    return tf.constant((rows * 0.5 + columns * 0.5) * channels, tf.uint8)


def host_batch(augmentation, count: int, image: tf.Tensor | None = None):
    image = photo() if image is None else image
    seeds = tf.stack([tf.range(count), tf.fill([count], 9)], axis=1)
    dataset = tf.data.Dataset.from_tensor_slices(seeds).map(
        lambda seed: augmentation.example(image, seed)
    )
    return view_major(next(iter(dataset.batch(count)))), seeds


def test_views_match_groups(augmentation):
    images = tf.data.Dataset.from_generator(
        lambda: (np.zeros((*shape, 3), np.uint8) for shape in SHAPES),
        output_signature=tf.TensorSpec([None, None, 3], tf.uint8),
    )
    dataset = images.map(lambda image: augmentation.example(image, tf.constant([1, 2])))
    expected = {
        name: tf.TensorSpec([count, size, size, 3], tf.uint8)
        for name, (count, size) in augmentation.groups.items()
    }
    assert dataset.element_spec == expected
    assert sum(1 for _ in dataset) == len(SHAPES)


def test_same_seed_same_views(augmentation):
    first, _ = host_batch(augmentation, 4)
    again, _ = host_batch(augmentation, 4)
    eager = augmentation.example(photo(), tf.constant([2, 9]))
    for name in augmentation.groups:
        np.testing.assert_array_equal(first[name], again[name])
        np.testing.assert_array_equal(first[name][:, 2], eager[name])


def test_views_of_an_image_differ(augmentation):
    views = augmentation.example(photo(), tf.constant([3, 1]))
    stack = np.concatenate([group.numpy() for group in views.values()])
    assert len(np.unique(stack.reshape(len(stack), -1), axis=0)) == len(stack)


@pytest.mark.slow
def test_batch_is_in_range_and_independent_of_place(augmentation):
    views, seeds = host_batch(augmentation, 6)
    step = tf.constant([5, 6])
    whole = augmentation.batch(views, step_seed=step, example_seeds=seeds)
    part = augmentation.batch(
        views.map(lambda stack: stack[:, 3:5]),
        step_seed=step,
        example_seeds=seeds[3:5],
    )
    for name, group in whole.items():
        assert group.dtype == tf.float32
        assert group.shape == views[name].shape
        assert 0 <= np.min(group) <= np.max(group) <= 1
        # Batches of other shapes may add in another order.
        np.testing.assert_allclose(part[name], group[:, 3:5], atol=1e-6)


def test_batch_compiles_inside_a_compiled_step():
    augmentation = contrastive(randaugment=None, strength=0.0)
    views, seeds = host_batch(augmentation, 3)

    def finish(stacks, step_seed, example_seeds):
        return dict(
            augmentation.batch(
                Views(stacks), step_seed=step_seed, example_seeds=example_seeds
            )
        )

    arguments = views.stacks, tf.constant([1, 1]), seeds
    compiled = tf.function(finish, jit_compile=True)(*arguments)
    plain = finish(*arguments)
    for name in augmentation.groups:
        # XLA divides by 255 and adds the blur's products in another order.
        np.testing.assert_allclose(compiled[name], plain[name], atol=2e-6)


@pytest.fixture(params=["GPU", pytest.param("CPU", marks=pytest.mark.slow)])
def kind(request):
    return request.param


def in_both_placements(kind: str, **changed) -> list[np.ndarray]:
    found = []
    image = tf.constant(np.random.default_rng(1).integers(0, 256, (50, 40, 3)))
    for placement in ("host", "device"):
        augmentation = contrastive(
            groups={"all": ViewGroup(40, 32)}, placement=placement, **changed
        ).on(kind)
        views, seeds = host_batch(augmentation, 1, tf.cast(image, tf.uint8))
        out = augmentation.batch(
            views, step_seed=tf.constant([1, 2]), example_seeds=seeds
        )
        found.append(out["all"].numpy())
    return found


@pytest.mark.slow
def test_placements_agree_to_the_last_bit_where_all_is_integer(kind):
    host, device = in_both_placements(kind, strength=0.0, gray=0.0, blur=False)
    np.testing.assert_array_equal(host, device)


@pytest.mark.slow
def test_placements_agree_to_one_step(kind):
    host, device = in_both_placements(kind, blur=False)
    # Half a step: on the host, the grayscale of some views is rounded. Before
    # RandAugment, one value in 100,000 is so near to half way between two steps that
    # the order of a sum decides, and an operation may enlarge the difference.
    apart = np.abs(host - device) > 0.51 / 255
    assert apart.mean() < 1e-4


@pytest.mark.slow
def test_blur_is_the_same_in_both_placements(kind):
    host, device = in_both_placements(kind, randaugment=None, strength=0.0)
    np.testing.assert_allclose(host, device, atol=0.51 / 255)


def test_auto_finishes_on_an_accelerator_and_else_on_the_host():
    auto = contrastive(placement="auto")
    on = {kind: auto.on(kind) for kind in ("CPU", "GPU", "TPU")}
    assert {kind: views.placement for kind, views in on.items()} == {
        "CPU": "host",
        "GPU": "device",
        "TPU": "device",
    }
    assert on["CPU"].describe() == (
        "host (placement 'auto' on a CPU), blurred on the device"
    )
    assert on["GPU"].describe() == "device (placement 'auto' on a GPU)"
    # Without a given kind of device, there is only a CPU here.
    assert auto.placement == "host"
    for placement in ("host", "device"):
        assert contrastive(placement=placement).on("GPU").placement == placement
    sharp = contrastive(placement="host", blur=False).on("GPU")
    assert sharp.describe() == "host"
    assert CropFlip(size=8).on("GPU").describe() == "host"


def test_setting_the_device_does_not_change_the_original():
    gray = {"strength": 0.0, "randaugment": None, "gray": 1.0}
    first = contrastive(placement="auto", **gray).on("CPU")
    image, seed = photo(32, 32), tf.constant([4, 9])
    before = first.example(image, seed)["support"]
    crops = first.on("GPU").example(image, seed)["support"]
    again = first.on("GPU").on("CPU").example(image, seed)["support"]
    assert first.placement == "host"
    assert np.any(before != crops)
    np.testing.assert_array_equal(before, again)


def test_groups_continue_the_numbering():
    # A view's seed depends on its number among all views, not on its group.
    apart, _ = host_batch(contrastive(), 2)
    together, _ = host_batch(contrastive(groups={"all": ViewGroup(5, 32)}), 2)
    joined = apart.joined(["instance", "support"])
    np.testing.assert_array_equal(joined, together["all"])


def blurred(augmentation, seeds, step_seed):
    """Returns the bright pixel of views with one, after the batched part."""
    count = sum(group.count for group in augmentation.groups.values())
    image = np.zeros((count, len(seeds), 32, 32, 3), np.uint8)
    image[:, :, 16, 16] = 255
    out = augmentation.batch(
        Views.of({"instance": tf.constant(image)}),
        step_seed=tf.constant(step_seed),
        example_seeds=seeds,
    )
    return out["instance"].numpy()[:, :, 16, 16, 0].T


def test_one_sigma_for_each_view_of_a_batch():
    augmentation = contrastive(placement="host", groups={"instance": ViewGroup(4, 32)})
    seeds = tf.stack([tf.range(500), tf.zeros(500, tf.int32)], axis=1)
    # This step has no sigma below 0.2, which would not be visible for one pixel.
    peaks = blurred(augmentation, seeds, [3, 6])
    touched = peaks < 1
    # Coins are fair; standard error 0.022 for one view.
    np.testing.assert_allclose(touched.mean(0), 0.5, atol=0.09)
    assert abs(np.corrcoef(touched[:, 0], touched[:, 1])[0, 1]) < 0.18
    sigmas = [np.unique(peaks[touched[:, view], view]) for view in range(4)]
    # Equal apart from the order of sums.
    assert all(np.ptp(found) < 1e-6 for found in sigmas)
    assert len({round(float(found[0]), 4) for found in sigmas}) == 4


def test_sigma_changes_with_the_step_and_coins_with_the_example():
    augmentation = contrastive(placement="host", groups={"instance": ViewGroup(1, 32)})
    seeds = tf.stack([tf.range(50), tf.zeros(50, tf.int32)], axis=1)
    first = blurred(augmentation, seeds, [0, 1])
    second = blurred(augmentation, seeds, [0, 2])
    np.testing.assert_array_equal(first < 1, second < 1)
    assert abs(first.min() - second.min()) > 1e-3
    third = blurred(augmentation, seeds + 50, [0, 1])
    assert np.any((first < 1) != (third < 1))


def test_sigmas_span_the_published_range():
    augmentation = contrastive(
        placement="host", groups={"instance": ViewGroup(400, 32)}
    )
    seeds = tf.constant([[1, 2], [3, 4], [5, 6]])
    # Peaks fall with sigma: 1 at 0.1, about 0.14 at 2 (three taps).
    peaks = blurred(augmentation, seeds, [7, 7])
    flattest = (1 / (1 + 2 * np.exp(-1 / 8))) ** 2
    assert peaks.min() > flattest - 1e-6
    assert peaks.min() < flattest * 1.02


def statistics(views: np.ndarray) -> np.ndarray:
    """Returns the columns of the golden: mean, std by channel, gray?, min, max."""
    pixels = views.reshape(len(views), -1, 3) / 255
    gray = np.all(np.ptp(pixels, axis=2) < 1e-3, axis=1)
    return np.column_stack(
        [
            pixels.mean(1),
            pixels.std(1),
            gray,
            pixels.min((1, 2)),
            pixels.max((1, 2)),
        ]
    )


@pytest.mark.parametrize(
    ("golden_name", "size", "randaugment"),
    [
        pytest.param("pipeline_mode0_cifar32", 32, None, marks=pytest.mark.slow),
        pytest.param("pipeline_mode0_photo64", 48, None, marks=pytest.mark.slow),
        ("pipeline_mode1_cifar32", 32, RandAugment()),
        pytest.param(
            "pipeline_mode1_photo64", 48, RandAugment(), marks=pytest.mark.slow
        ),
    ],
)
def test_pipelines_have_the_published_distribution(
    random_draws, golden_name, size, randaugment
):
    image = tf.constant(random_draws.images[golden_name.split("_")[-1]])
    augmentation = contrastive(
        groups={"instance": ViewGroup(2, size)}, randaugment=randaugment, blur=False
    )
    views, seeds = host_batch(augmentation, 1500, image)
    views = augmentation.batch(
        views, step_seed=tf.constant([0, 0]), example_seeds=seeds
    )
    ours = statistics(
        crop.to_uint8(views["instance"]).numpy().reshape(-1, size, size, 3)
    )
    theirs = random_draws.arrays[golden_name]
    assert ours.shape == theirs.shape
    # Five standard errors of a difference of two samples of 3000 views.
    spread = theirs.std(0)
    mean_error = spread * np.sqrt(2 / len(theirs))
    fourth = np.mean((theirs - theirs.mean(0)) ** 4, axis=0)
    spread_error = np.sqrt((fourth / spread**2 - spread**2) / (2 * len(theirs)))
    assert np.all(np.abs(ours.mean(0) - theirs.mean(0)) < 5 * mean_error)
    assert np.all(np.abs(ours.std(0) - spread) < 5 * spread_error)


@pytest.mark.parametrize("wanted", [True, False])
def test_flip_can_be_switched_off(wanted):
    # Brightness grows to the right, in crops too; a mirrored view falls.
    ramp = tf.constant(
        np.broadcast_to(np.arange(0, 240, 4)[None, :, None], (60, 60, 3)), tf.uint8
    )
    views, _ = host_batch(CropFlip(size=16, flip=wanted), 200, ramp)
    slopes = np.diff(views["instance"][0, :, 8, ::15, 0].numpy().astype(int))[:, 0]
    falling = np.mean(slopes < 0)
    # Standard error 0.035.
    assert abs(falling - 0.5) < 0.15 if wanted else falling == 0


def test_nothing_but_the_crop():
    plain = contrastive(
        groups={"instance": ViewGroup(1, 20)},
        area=(1.0, 1.0),
        flip=False,
        strength=0.0,
        randaugment=None,
        gray=0.0,
        blur=False,
        placement="host",
    )
    image = photo(20, 20)
    views = plain.example(image, tf.constant([1, 2]))
    np.testing.assert_array_equal(views["instance"][0], image)
    np.testing.assert_array_equal(evaluation_view(image, size=20), image)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"area": (0.0, 1.0)}, r"area is \(0\.0, 1\.0\); it must be \(a"),
        ({"area": (0.5, 0.2)}, "0 < low <= high <= 1"),
        ({"kernel": "bilinear"}, "kernel is 'bilinear'; it must be 'legacy' or"),
        ({"strength": 3.0}, r"strength is 3\.0; it must be a number in \[0, 2\.5\]"),
        ({"placement": "gpu"}, "placement is 'gpu'; it must be 'auto', 'host'"),
        ({"gray": 1.5}, r"gray is 1.5; it must be a number in \[0, 1\]"),
        ({"groups": {"instance": ViewGroup(0, 32)}}, "makes no views"),
        ({"groups": {"instance": ViewGroup(-1, 32)}}, "-1 views of 32 pixels"),
        ({"groups": {"instance": ViewGroup(1, 0)}}, "1 views of 0 pixels"),
        # Each attempt would fail, and the whole image would be used.
        ({"area": (0.02, 0.05)}, r"area is \(0.02, 0.05\) .* cover at least 0.1 of it"),
        ({"blur": (0.5, 0.5)}, "blur has 2 probabilities for 5 views; wanted one per"),
        ({"solarize": (1.5,) * 5}, r"solarize is .*1\.5"),
        ({"area": {"instance": (0.0, 1.0), "support": (0.1, 1.0)}}, "area is"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        contrastive(**arguments)


def test_empty_groups_are_left_out():
    groups = {"instance": ViewGroup(2, 32), "support": ViewGroup(0, 32)}
    assert check_groups(groups) == {"instance": (2, 32)}


def test_drawn_says_what_was_done(eagerly):
    augmentation = contrastive(
        groups={"all": ViewGroup(30, 32)},
        strength=0.0,
        area=(1.0, 1.0),
        blur=False,
        placement="host",
    )
    image, seed = photo(32, 32), tf.constant([4, 9])
    views = augmentation.example(image, seed)["all"]
    words = augmentation.drawn(seed)
    operations = augmentation._randaugment.operations(32, 32)
    plain = [
        (view, said)
        for view, said in zip(views, words, strict=True)
        if not {"Rotate", "ShearX", "ShearY", "Cutout", "gray"} & set(said)
        and not any(word.startswith("Translate") for word in said)
    ]
    assert len(plain) >= 5
    for view, said in plain:
        expected = image[tf.newaxis]
        for word in said:
            if word == "flip":
                expected = tf.reverse(expected, [2])
            else:
                expected = operations[word](
                    expected, tf.constant([1.0]), tf.constant([[0, 0]])
                )
        np.testing.assert_array_equal(view, expected[0])
    assert any("gray" in said for said in words)


def test_jitter_of_four_numbers_is_that_of_one():
    numbers = tf.random.stateless_uniform([50, 9], (1, 2))
    one = draw_jitter(numbers, strength=0.5)
    four = draw_jitter(numbers, strength=(0.4, 0.4, 0.4, 0.1))
    for a, b in zip(one, four, strict=True):
        np.testing.assert_array_equal(a, b)
    soft = draw_jitter(numbers, strength=(0.4, 0.4, 0.2, 0.1))
    assert 0.8 <= np.min(soft.saturation) < 0.85 < 1.15 < np.max(soft.saturation) <= 1.2
