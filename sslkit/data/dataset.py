"""Finds a dataset by name; the function that recipes bind as `data`."""

from __future__ import annotations

import dataclasses
from typing import Literal

from sslkit.data.sources import Source

__all__ = ["Data", "data"]

Part = Literal["train", "test"]


@dataclasses.dataclass(frozen=True)
class Data:
    """A dataset's two splits, opened when first asked for.

    Attributes:
        name: `digits`, `folder:/path`, or a prepared TFDS dataset.
        train: the split to train on.
        test: the split to evaluate on.
        data_dir: where TFDS datasets are prepared.
        cache_dir: where the record index of TFDS shards is kept.
    """

    name: str
    train: str = "train"
    test: str = "test"
    data_dir: str | None = None
    cache_dir: str | None = None
    _opened: dict[str, Source] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def source(self, part: Part) -> Source:
        """Opens a split, once.

        Args:
            part: `train` or `test`; the names of the two splits are in the fields.

        Returns:
            The source.

        Raises:
            UserError: if the dataset or the split is not there.
        """
        split = {"train": self.train, "test": self.test}[part]
        if split not in self._opened:
            self._opened[split] = self._open(split)
        return self._opened[split]

    def _open(self, split: str) -> Source:
        # Each kind imports what the others do not need.
        if self.name == "digits":
            from sslkit.data.digits import Digits

            return Digits(split)
        if self.name.startswith("folder:"):
            from sslkit.data.folder import Folder

            return Folder(self.name.removeprefix("folder:"), split)
        from sslkit.data.tfds import PreparedTFDS

        return PreparedTFDS(
            self.name, split, data_dir=self.data_dir, cache_dir=self.cache_dir
        )


def data(
    *,
    name: str,
    train: str = "train",
    test: str = "test",
    data_dir: str | None = None,
    cache_dir: str | None = None,
) -> Data:
    """Names a dataset; nothing is opened until a split is asked for.

    Args:
        name: `digits` (embedded), `folder:/path` (images on disk), or a TFDS dataset
            that is already prepared, such as `cifar10` or `imagenet2012_subset/1pct`.
        train: the split to train on.
        test: the split to evaluate on; ImageNet's is `validation`.
        data_dir: where TFDS datasets are prepared; $TFDS_DATA_DIR or
            ~/tensorflow_datasets unless given.
        cache_dir: where the record index of TFDS shards is kept;
            $XDG_CACHE_HOME/sslkit or ~/.cache/sslkit unless given.

    Returns:
        The dataset, unopened.
    """
    return Data(
        name=name, train=train, test=test, data_dir=data_dir, cache_dir=cache_dir
    )
