"""Do data, heads and guidance agree on the number of classes? Asked before a model is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

from mmengine.config import Config
from mmengine.runner import Runner

from ..audit.coco.coco_source import coco_source
from ..audit.preflight import open_dataset, unwrapped
from ..errors import InputError

HEADS = ("decode_head", "auxiliary_head", "head")
DETECTORS = ("bbox_head", "mask_head", "roi_head.bbox_head", "roi_head.mask_head")  # which add a class for no object
OF_EDGES = ("STDCHead",)  # auxiliary heads whose classes are edge and no edge
SIGMOID = "; then out_channels=1 with use_sigmoid=True in its loss_decode is possible, too"
DATA = dict(train="training", val="validation", test="test")
SIGMOID_BY_DEFAULT = ("DiceLoss", "FocalLoss", "AsymmetricLoss")


def check_classes(cfg: Config, splits: Sequence[str] = tuple(DATA)) -> None:
    """Refuse heads or guidance with another number of classes than the data, and one class with softmax.

    Args:
        cfg: a config of mmseg or mmpretrain.
        splits: splits whose data sets are asked, if they are of mmseg or of ours.

    Raises:
        InputError: such a config; the message names the keys to set.
    """
    check_one_class(cfg)
    for split in splits:
        _compare(cfg, split, classes_of(cfg.get(f"{split}_dataloader")))


def _compare(cfg: Config, split: str, num_classes: Optional[int]) -> None:
    model = cfg.model.get("module", cfg.model)  # inside of a test-time augmentation
    parts = {f"{key}.num_classes": part["num_classes"] for key, part in (*_parts(model), *_parts(model, DETECTORS))}
    wrong = {key: value for key, value in parts.items() if num_classes and value != num_classes}
    if split != "train":  # which alone guides
        wrong = {key: value for key, value in wrong.items() if "guidance" not in key}
    if wrong:
        raise InputError(
            f"the {DATA[split]} data set has {num_classes} classes, but "
            f"{' and '.join(f'{key} is {value}' for key, value in wrong.items())}. Make them equal: --cfg-options "
            f"{' '.join(f'{key}={num_classes}' for key in wrong)}, or give the data set the right metainfo.classes"
        )


def check_one_class(cfg: Config) -> None:
    """Refuse a head that divides one class by softmax.

    Raises:
        InputError: such a config; the message names the keys to set.
    """
    model = cfg.get("model") or {}
    for key, head in _parts(model.get("module", model)):
        if head["num_classes"] == 1 and "guidance" not in key and not _has_sigmoid(head):
            raise InputError(
                f"{key}.num_classes is 1 with a softmax loss: the softmax of one class is always 1, the loss 0 and the "
                f"accuracy 100. Set {key}.num_classes=2 with the background as a class of the data"
                f"{SIGMOID if '_head' in key else ''}"
            )


def check_built_classes(runner: Runner, split: str) -> None:
    """Do the same for the built data set of a split, of any kind.

    Raises:
        InputError: as :func:`check_classes`.
    """
    loader = getattr(getattr(runner, f"{split}_loop"), "dataloader", None)
    metainfo = getattr(getattr(loader, "dataset", None), "metainfo", {})
    _compare(runner.cfg, split, len(metainfo.get("classes") or ()) or None)


def check_order(runner: Runner, meta: Any, what: str) -> None:
    """Refuse a model whose classes have other numbers than the same names have in the test's data set.

    Args:
        runner: the runner whose test was built.
        meta: ``dataset_meta`` of the model; anything else is not compared.
        what: the model, for messages.

    Raises:
        InputError: such a model, whose predictions would be scored as other classes.
    """
    dataset = getattr(getattr(runner.test_loop, "dataloader", None), "dataset", None)
    ours, theirs = (_names(each) for each in (getattr(dataset, "metainfo", None), meta))
    moved = [name for name in ours if name in theirs and ours[name] != theirs[name]]
    if moved:
        listed = ", ".join(f"{name} is {theirs[name]} and {ours[name]}" for name in moved[:5])
        raise InputError(
            f"{what} was trained with other numbers of the same classes than the test's data set has ({listed}"
            f"{', ...' if len(moved) > 5 else ''}): give the data set the classes in the order of the training "
            "(test_dataloader.dataset.metainfo.classes)"
        )


def _names(meta: Any) -> dict[str, int]:
    """Return the numbers of classes by name; nothing of names that are there twice."""
    names = meta.get("classes") if isinstance(meta, Mapping) else None
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        return {}
    return {name: number for number, name in enumerate(names)} if len(set(names)) == len(names) else {}


def classes_of(loader: Any) -> Optional[int]:
    """Return how many classes the data set of a loader's config has; None where its config does not say."""
    if not loader or not isinstance(loader.get("dataset"), Mapping):
        return None
    coco = coco_source(unwrapped(loader["dataset"]))
    if coco is not None:
        return len(coco.classes or ()) or None
    dataset = open_dataset(loader["dataset"])
    return len(dataset.metainfo.get("classes") or ()) or None if dataset is not None else None


def _parts(model: Mapping[str, Any], names: Sequence[str] = HEADS) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what of a model has a number of classes, with its key in the config: heads of these names, and guidance."""
    for name in names:
        heads: Any = model
        for key in name.split("."):
            heads = heads.get(key) if isinstance(heads, Mapping) else None
        several = isinstance(heads, (list, tuple))
        for i, head in enumerate(heads if several else [heads]):
            if isinstance(head, Mapping) and head.get("num_classes") and head.get("type") not in OF_EDGES:
                yield f"model.{name}.{i}" if several else f"model.{name}", head
    guidance = (model.get("backbone") or {}).get("guidance")
    if isinstance(guidance, Mapping) and guidance.get("num_classes"):
        yield "model.backbone.guidance", guidance


def _has_sigmoid(head: Mapping[str, Any]) -> bool:
    if "loss_cls" in head:  # mask classification (Mask2Former), which adds a class for no object
        return True
    losses = head.get("loss_decode") or head.get("loss") or ()
    for loss in losses if isinstance(losses, (list, tuple)) else [losses]:
        default = loss.get("type") in SIGMOID_BY_DEFAULT or loss.get("loss_type") == "binary"
        if loss.get("use_sigmoid", default) or loss.get("mode") == "multi_label":
            return True
    return str(head.get("type")).startswith("MultiLabel")
