"""The quick check of a config's data: files, headers and some masks of each split."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence

from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..audit.data_check import DataCheck, read_as_stored
from ..audit.label_scan import check_labels
from ..audit.preflight import check_dataset
from ..datasets.pictures import ignore_large
from ..datasets.pk_sampler import check_batch_size
from ..errors import InputError
from .check_evaluator import check_evaluator
from .refusals import step

logger = logging.getLogger("davpt_seg")
PARTS = ("RandomSubset", "TrainingPart")  # data sets that hold some of the images of another, all of which are checked


def use_data_check(cfg: Config) -> DataCheck:
    """Read ``data_check`` and make the config's pipelines read images accordingly.

    Raises:
        InputError: an unknown key or value.
    """
    init_default_scope(cfg.get("default_scope") or "mmseg")
    ignore_large()
    settings = DataCheck.from_config(cfg)
    if settings.exif == "stored":
        read_as_stored(cfg)
    return settings


def check_splits(cfg: Config, splits: Sequence[str], settings: DataCheck, known: Collection[str] = ()) -> Iterator[str]:
    """Yield what is wrong with the data of a config; masks are read only of splits whose files are complete.

    Args:
        cfg: with a ``*_dataloader`` for each split; a split without one is skipped.
        splits: some of ``train``, ``val`` and ``test``.
        settings: the config's, from :func:`use_data_check`.
        known: splits whose files were checked before; only their loaders are.
    """
    complete = {}
    for split in splits:
        loader = cfg.get(f"{split}_dataloader")
        if loader is None:
            continue
        try:
            with step(f"the data set cannot be opened ({split}_dataloader.dataset)"):
                check_batch_size(loader)
                check_evaluator(cfg, split)
                count = 0 if split in known else check_dataset(loader["dataset"], settings)
        except InputError as error:
            yield f"{split}: {error}"
            continue
        if split in known:
            continue
        complete[split] = loader["dataset"]
        part = ", of which this split is a part" if loader["dataset"]["type"] in PARTS else ""
        logger.info("%s: %s", split, f"{count} images, each with its label{part}" if count else "not checked")
    try:
        check_labels(complete, settings)
    except InputError as error:
        yield str(error)
