"""Opening a dataset by name; `data` is the function that recipes bind."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal

import numpy as np

from sslkit.api import Source
from sslkit.arguments import checked
from sslkit.data.in_python import calls_python
from sslkit.data.service import Service
from sslkit.errors import UserError
from sslkit.source import OnError

__all__ = ["Data", "data"]

Part = Literal["train", "test"]

Cache = Literal["memory", "disk"]

_FOLDER = "folder:"


@dataclasses.dataclass(frozen=True)
class Data:
    """The two splits of a dataset, opened when they are first used.

    Attributes:
        name: `digits`, `folder:/path`, or a prepared TFDS dataset; None if `kind` is
            given.
        kind: opens a split of any other source.
        train: the split to train on.
        test: the split to evaluate on.
        data_dir: where TFDS datasets are prepared.
        cache_dir: where the record index of TFDS shards and decoded images are kept.
        on_error: what to do about an example that cannot be read.
        cache: where decoded images are kept, `memory` or `disk`; None for nowhere.
        service: the address of a data service that makes the training batches.
        exif: whether a folder's images are rotated according to their EXIF orientation.
        label: the feature of a TFDS dataset that is its label.
    """

    name: str | None = None
    kind: Callable[..., Source] | None = None
    train: str = "train"
    test: str = "test"
    data_dir: str | None = None
    cache_dir: str | None = None
    on_error: OnError = "skip"
    cache: Cache | None = None
    service: str | None = None
    exif: bool = True
    label: str | None = None
    _opened: dict[str, Source] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _plain: dict[str, Source] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """The sources by split, without the wrappers that keep decoded images."""

    def source(self, part: Part) -> Source:
        """Opens a split, once.

        Args:
            part: `train` or `test`; the fields of these names have the splits' names.

        Returns:
            The source.

        Raises:
            UserError: if the dataset or the split does not exist, or a data service
                cannot read it.
        """
        source = self.split({"train": self.train, "test": self.test}[part])
        if part == "train" and self.service is not None and calls_python(source):
            raise UserError(
                f"data.service is {self.service!r}, and {source.name} is read by Python"
                " in this process, where the service's workers are not: set data.cache"
                " = 'disk', in a data.cache_dir that they share, or data.service = None"
            )
        return source

    def split(self, split: str) -> Source:
        """Opens any split of the dataset by its name, once.

        Args:
            split: as for `train` and `test`, e.g. `validation`.

        Returns:
            The source.

        Raises:
            UserError: if the dataset or the split does not exist.
        """
        if split not in self._opened:
            first = next(iter(self._plain.values()), None)
            source = None if first is None else first.beside(split)
            source = self._open(split) if source is None else source
            source.on_error = self.on_error
            source.parts = (self.train, self.test)
            source.check()
            self._plain[split] = source
            self._opened[split] = self._cached(source)
        return self._opened[split]

    def opened(self, part: Part) -> Source | None:
        """Returns a split if it is open already."""
        return self._opened.get({"train": self.train, "test": self.test}[part])

    @functools.cached_property
    def connection(self) -> Service | None:
        """The service that makes the training batches; None if this process does."""
        return None if self.service is None else Service(self.service)

    def skipped(self) -> list[str]:
        """Returns what could not be read of the opened splits; see `Source.skipped`."""
        lines = (line for source in self._opened.values() for line in source.skipped())
        # Splits of one folder skip the same files.
        return list(dict.fromkeys(lines))

    def _cached(self, source: Source) -> Source:
        if self.cache == "memory":
            from sslkit.data.memory import InMemory

            return InMemory(source)
        if self.cache == "disk":
            from sslkit.data.disk import OnDisk

            return OnDisk(source, cache_dir=self.cache_dir)
        return source

    def _open(self, split: str) -> Source:
        if self.kind is not None:
            source = self.kind(split=split)
            _check_said(source)
            return source
        assert self.name is not None, "`data` wants one of the two"
        # Each kind of source has its own imports.
        if self.name == "digits":
            from sslkit.data.digits import Digits

            return Digits(split=split)
        if self.name.startswith(_FOLDER):
            from sslkit.data.folder import Folder

            path = self.name.removeprefix(_FOLDER)
            return Folder(split=split, path=path, exif=self.exif)
        from sslkit.data.tfds import PreparedTFDS

        return PreparedTFDS(
            split=split,
            dataset=self.name,
            data_dir=self.data_dir,
            cache_dir=self.cache_dir,
            label=self.label,
        )


def _check_said(source: Source) -> None:
    """Refuses a source of a plugin that does not say what it holds."""
    name, size, classes = (
        getattr(source, what, "not set") for what in ("name", "size", "classes")
    )
    names = getattr(source, "label_names", ())
    for what, value, fits, wanted in (
        ("name", name, isinstance(name, str) and name != "not set", "a text"),
        ("size", size, _is_count(size), "the number of examples, 1 or more"),
        (
            "classes",
            classes,
            classes is None or _is_count(classes),
            "the number of classes, or None without labels",
        ),
        (
            "label_names",
            names,
            not len(names) or len(names) == classes,
            f"none, or one for each of the {classes} classes",
        ),
    ):
        if not fits:
            raise UserError(
                f"source {type(source).__name__}: {what} is {value!r}; wanted {wanted}."
            )


def _is_count(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        return False
    return bool(value >= 1)


@checked
def data(
    *,
    name: str | None = None,
    source: Callable[..., Source] | None = None,
    train: str = "train",
    test: str = "test",
    data_dir: str | None = None,
    cache_dir: str | None = None,
    on_error: OnError = "skip",
    cache: Cache | None = None,
    service: str | None = None,
    exif: bool = True,
    label: str | None = None,
) -> Data:
    """Describes a dataset; nothing is opened until a split is used.

    Args:
        name: `digits` (embedded), `folder:/path` (images on disk), or a TFDS dataset
            that is already prepared, such as `cifar10` or `imagenet2012_subset/1pct`.
        source: instead of `name`, any other source, such as `@sources.arrays`; its
            options are bound to it.
        train: the split to train on.
        test: the split to evaluate on; ImageNet's is `validation`.
        data_dir: where TFDS datasets are prepared; $TFDS_DATA_DIR or
            ~/tensorflow_datasets unless given.
        cache_dir: where the record index of TFDS shards is kept, and decoded images
            with `cache = 'disk'`; $XDG_CACHE_HOME/sslkit or ~/.cache/sslkit unless
            given.
        on_error: what happens if an example cannot be read. `skip` goes on without it,
            and names it at the end; `raise` ends the run.
        cache: `memory` reads and decodes a split once per run and keeps its pixels, for
            data of up to 8 GiB. `disk` decodes it once and keeps the pixels in
            `cache_dir`, for later runs and all processes of the machine. None reads and
            decodes an image each time that it is used.
        service: `grpc://host:port`, as `sslkit data-service` prints it. The training
            batches are then made there; they and their order stay the same. Its workers
            read the data, and a cache on disk, under the same paths as this process.
        exif: whether a folder's images are rotated according to their EXIF orientation.
            The images of TFDS datasets are always used as they are stored.
        label: the feature of a TFDS dataset that is its label; `label` or `labels`
            unless given.

    Returns:
        The dataset, unopened.

    Raises:
        UserError: if an option has a value that is not possible, or two options
            contradict each other.
    """
    if (name is None) == (source is None):
        found = "both are bound; set one to None" if name else "neither is bound"
        raise UserError(
            "bind one of data.name (digits, folder:/path or a TFDS dataset) and "
            f"data.source (e.g. @sources.arrays): {found}"
        )
    if source is not None:
        _only_for_names(data_dir=data_dir, label=label, exif=None if exif else False)
    elif name is not None and name.startswith(_FOLDER) and not name[7:].strip():
        raise UserError(
            "data.name is 'folder:' without a path, perhaps because a shell variable "
            "is empty; name a folder of images: folder:/path"
        )
    if name and label is not None and (name == "digits" or name.startswith(_FOLDER)):
        raise UserError(
            f"data.label is {label!r}, and {name} has no features to choose from; "
            "leave it out, or name a TFDS dataset"
        )
    if service is not None and cache == "memory":
        raise UserError(
            "data.cache is 'memory', which the workers of data.service cannot reach; "
            "use 'disk', in a data.cache_dir that they share, or None"
        )
    return Data(
        name=name,
        kind=source,
        train=train,
        test=test,
        data_dir=data_dir,
        cache_dir=cache_dir,
        on_error=on_error,
        cache=cache,
        service=service,
        exif=exif,
        label=label,
    )


def _only_for_names(**given: object) -> None:
    for option, value in given.items():
        if value is not None:
            raise UserError(
                f"data.{option} is {value!r}, which has an effect only with data.name; "
                f"bind it to the source itself, e.g. sources.NAME.{option}"
            )
