"""What an adapter folder may say about a model: parts of an allow list, and numbers within bounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import InputError
from .config_check import check_config

KEYS = {
    *("default_scope", "data_check", "custom_imports", "model", "test_dataloader", "tta_model", "tta_pipeline"),
}
NORMS = {"BN", "BN1d", "BN2d", "SyncBN", "LN", "LN2d", "GN", "IN"}
LAYERS = {*NORMS, "ReLU", "ReLU6", "LeakyReLU", "GELU", "SiLU", "Swish", "Sigmoid", "Conv", "Conv1d", "Conv2d"}
DETECTORS = {"FasterRCNN", "MaskRCNN", "FCOS"}
CODERS = {"DeltaXYWHBBoxCoder"}
LOSSES = {"CrossEntropyLoss", "FocalLoss", "L1Loss", "SmoothL1Loss", "IoULoss", "GIoULoss"}
DETECTING_HEADS = (("bbox_head",), ("rpn_head",), ("roi_head", "bbox_head"), ("roi_head", "mask_head"))
DETECTING_LOSSES = ("loss_cls", "loss_bbox", "loss_centerness", "loss_mask")
#: Classes that are built, by their place in the config; what is deeper inside is of LAYERS.
ALLOWED: dict[tuple[str, ...], set[str]] = {
    ("model",): {"EncoderDecoder", "ImageClassifier", *DETECTORS},
    ("model", "data_preprocessor"): {"SegDataPreProcessor", "ClsDataPreprocessor", "DetDataPreprocessor"},
    ("model", "neck"): {"MultiLevelNeck", "Feature2Pyramid", "FPN", "GlobalAveragePooling", "SimpleFeaturePyramid"},
    ("model", "bbox_head"): {"FCOSHead"},
    ("model", "rpn_head"): {"RPNHead"},
    ("model", "rpn_head", "anchor_generator"): {"AnchorGenerator"},
    ("model", "rpn_head", "bbox_coder"): CODERS,
    ("model", "roi_head"): {"StandardRoIHead"},
    **{("model", "roi_head", f"{part}_roi_extractor"): {"SingleRoIExtractor"} for part in ("bbox", "mask")},
    **{("model", "roi_head", f"{part}_roi_extractor", "roi_layer"): {"RoIAlign"} for part in ("bbox", "mask")},
    ("model", "roi_head", "bbox_head"): {"Shared2FCBBoxHead", "Shared4Conv1FCBBoxHead"},
    ("model", "roi_head", "bbox_head", "bbox_coder"): CODERS,
    ("model", "roi_head", "mask_head"): {"FCNMaskHead"},
    **{("model", *head, loss): LOSSES for head in DETECTING_HEADS for loss in DETECTING_LOSSES},
    **{("model", "test_cfg", *part, "nms"): {"nms", "soft_nms"} for part in ((), ("rpn",), ("rcnn",))},
    ("model", "decode_head"): {
        *("FCNHead", "UPerHead", "SETRUPHead", "SETRMLAHead", "SegformerHead", "PSPHead", "ASPPHead", "FPNHead"),
    },
    ("model", "head"): {"LinearClsHead", "StackedLinearClsHead"},
    ("tta_model",): {"SegTTAModel", "AverageClsScoreTTA"},
}
PREFIXES = ("mmseg.", "mmpretrain.", "mmdet.", "mmengine.", "davpt_seg.")
MOST_ENTRIES = 1024  # of a list
MOST_NUMBER = 16_384  # sides of images and windows, channels
#: Numbers that are no sizes, and those that multiply: layers, and images.
MOST_OF = {
    **{"num_classes": 10**6, "out_channels": 10**6, "ignore_index": 2**31, "seg_pad_val": 2**31, "pad_val": 2**31},
    **{"regress_ranges": 10**9, "output_size": 64, "sampling_ratio": 16, "stacked_convs": 64},
}
MOST_LAYERS, MOST_FACTOR = 64, 16
FACTORS = ("scale_factor", "up_scale", "resize_factor", "upscale")
#: Of images: a number, where a list is a size in pixels.
RESIZES, MOST_RESIZED = ("scale", "scale_factor", "ratio_range"), 4


def check_adapter_parts(config: Mapping[str, Any], trust: bool, what: str) -> None:
    """Refuse a config whose parts are not those that adapters are made of. Nothing is built or imported.

    Args:
        config: an adapter folder's config: the parts that prediction builds, without the backbone.
        trust: import what it names, and build any registered class; the numbers are checked all the same.
        what: its place, for messages.

    Raises:
        InputError: a class that is not in :data:`ALLOWED`, a number out of bounds, or what ``check_config`` refuses.
    """
    unknown = sorted(config.keys() - KEYS)
    if unknown or not isinstance(config.get("model"), dict):
        raise InputError(f"{what} must hold a model, and no more than {sorted(KEYS)}; got {str(sorted(config))[:200]}")
    if "backbone" in config["model"]:
        raise InputError(f"{what}: model.backbone is described beside it, in 'backbone'; the folder is damaged")
    for path, entry in _entries(config):
        _check_numbers(path, entry, what)
        if isinstance(entry, dict) and "type" in entry and not trust:
            _check_type(path, entry["type"], what)
    if not trust:
        if config.get("custom_imports"):
            raise _untrusted(f"{what} would import {config['custom_imports']!r}")
        try:
            check_config(config)
        except InputError as error:
            raise _untrusted(f"{what}: {error}") from error


def _entries(entry: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, entry
    if isinstance(entry, dict):
        for key, value in entry.items():
            yield from _entries(value, (*path, key))
    elif isinstance(entry, list):
        for value in entry:
            yield from _entries(value, path)


def _check_type(path: tuple[str, ...], kind: Any, what: str) -> None:
    if path[:1] != ("model",) and path != ("tta_model",):
        return  # transforms, which check_config checks
    allowed = ALLOWED.get(path, LAYERS)
    own = str(kind)
    for prefix in PREFIXES:
        own = own.removeprefix(prefix)
    if own not in allowed:
        raise _untrusted(f"{what}: {'.'.join(path)}.type = {str(kind)[:80]!r} is none of {', '.join(sorted(allowed))}")


def _check_numbers(path: tuple[str, ...], entry: Any, what: str) -> None:
    if isinstance(entry, (list, dict)) and len(entry) > MOST_ENTRIES:
        raise InputError(f"{what}: {'.'.join(path)} has {len(entry):,} entries, and at most {MOST_ENTRIES:,} are read")
    if path[:1] != ("model",) and isinstance(entry, dict):
        for key in RESIZES:
            factors = entry[key] if isinstance(entry.get(key), list) and key != "scale" else [entry.get(key)]
            if any(isinstance(factor, (int, float)) and abs(factor) > MOST_RESIZED for factor in factors):
                at = ".".join((*path, key))
                raise InputError(f"{what}: {at} = {entry[key]} enlarges images by more than {MOST_RESIZED}")
    if isinstance(entry, bool) or not isinstance(entry, (int, float)) or not path:
        return
    key = path[-1]
    layers = MOST_LAYERS if key.startswith("num_") else MOST_FACTOR if key in FACTORS else MOST_NUMBER
    most = MOST_OF.get(key, layers)
    if abs(entry) > most:
        raise InputError(f"{what}: {'.'.join(path)} = {entry} must be at most {most:,}")


def _untrusted(reason: str) -> InputError:
    return InputError(
        f"{reason}. Only parts that were reviewed are built of a folder's description, because a class could read "
        "files or run code by its arguments. If you trust its maker: --trust-config, trust_config=True"
    )
