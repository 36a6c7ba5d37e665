"""Any experiment from its parts: method, head, trunk, data and schedule, each a file of ``configs/_base_``.

The files in ``configs/davpt`` and ``configs/baselines`` are such experiments written out, for tools that take files
only; a test holds them equal. MMEngine's ``_base_`` can't do it alone: it refuses two bases that both say something
about ``model``, and a base can't read another's width, depth or number of classes.
"""

from __future__ import annotations

from typing import Any, Optional

from mmengine.config import Config

from ..datasets.preflight import unwrapped
from ..errors import InputError
from .parts import merged_parts
from .recognition import DEFAULTS, SCHEDULES, compose_recognition
from .segmentation import VALUES, use_split, use_subset, use_values
from .values import name_of

PARTS = ("method", "head", "trunk", "data", "schedule")
EXAMPLE = "method=vpt_deep,head=setr_pup,trunk=vitb,data=pascal_context_59,schedule=mmseg_160k"
RECOGNITION_EXAMPLE = "method=davpt_plus,trunk=vitb_mae,data=vtab/dtd,split=final,lr=1e-3,epochs=50"
RECOGNITION = ("vtab", "fgvc")  # folders of the data parts that are for mmpretrain
CLASSIFICATION_ONLY = ("davpt_release",)


def compose(
    method: str = "davpt",
    head: str = "upernet",
    trunk: str = "vitl",
    data: str = "ade20k",
    schedule: str = "released_160k",
    split: Optional[str] = None,
    **values: str,
) -> Config:
    """Build the config of a segmentation experiment.

    Args:
        method: a file of ``configs/_base_/methods``: ``linear``, ``vpt_deep``, ``lora``, ...; or several joined by
            ``+``: ``lora+guidance``.
        head: with the trunk, a file of ``configs/_base_/models``: ``HEAD_TRUNK.py``.
        trunk: the ViT: ``vitl``, ``vitb``, ``vits``, ``vitl14_reg``, ...
        data: a file of ``configs/_base_/datasets``.
        schedule: a file of ``configs/_base_/schedules``.
        split: None trains on the training set and validates on the validation set. ``choose`` and ``final`` keep that
            set for a last test, see :func:`~davpt_seg.apis.segmentation.use_split`.
        **values: hyper-parameters that take the place of the parts' own, as text, see
            :func:`~davpt_seg.apis.segmentation.use_values`.

    Returns:
        The config, named ``METHOD/HEAD_TRUNK_DATA.py`` (and ``_SCHEDULE`` where it is not the released one, the split
        and the values), as the experiment's file is or would be.

    Raises:
        InputError: an unknown part; the message lists the known ones. Or one of recognition's, a data part
            without ``CheckLabels``, or a value that does not fit.
    """
    for part, chosen, of_recognition in (("head", head, (DEFAULTS["head"],)), ("schedule", schedule, SCHEDULES)):
        if chosen in of_recognition:
            raise InputError(f"{part}={chosen} is for recognition: data of vtab/ or fgvc/, not data={data}")
    for name in set(CLASSIFICATION_ONLY) & set(method.split("+")):
        raise InputError(
            f"method={method}: {name} is for image classification (data of vtab/ or fgvc/), not for data={data}. It "
            "gives an image one class and its patches one sample, and clusters classes by the token that a classifier "
            "reads; label maps have many classes, and a segmentation head reads no token. Use davpt or davpt_plus"
        )
    cfg = merged_parts(f"{head}_{trunk}", data, schedule, method, runtime="default")
    _fit_classes(cfg)
    _fit_crop(cfg)
    use_values(cfg, method, values)
    changes = dict(values) if split is None else dict(split=split, **values)
    if split is not None:
        use_split(cfg, split)
    use_subset(cfg, values)
    words = dict(method=method, head=head, trunk=trunk, data=data, schedule=schedule, **changes)
    name = name_of([f"{head}_{trunk}_{data}", *([schedule] if schedule != "released_160k" else [])], changes)
    return Config(
        cfg.to_dict(),
        cfg_text=f"# {','.join(f'{key}={value}' for key, value in words.items())}\n",
        filename=f"{method}/{name}.py",
    )


def compose_from_words(words: str) -> Config:
    """Build the config that ``method=vpt_deep,head=setr_pup`` asks for; parts left out are :func:`compose`'s defaults.

    With data of ``vtab/`` or ``fgvc/`` it is :func:`~davpt_seg.apis.recognition.compose_recognition` that composes, and
    that takes hyper-parameters as well.

    Raises:
        InputError: a word that is no ``PART=NAME``, a part named twice, or an unknown one.
    """
    chosen: dict[str, str] = {}
    for word in words.split(","):
        part, _, name = word.partition("=")
        if not part or not name:
            raise InputError(f"{word!r} is no PART=NAME; {_parts()}")
        if part in chosen:
            raise InputError(f"{part} is named twice: {chosen[part]!r} and {name!r}")
        chosen[part] = name
    if chosen.get("data", "").partition("/")[0] in RECOGNITION:
        return compose_recognition(**chosen)
    unknown = [part for part in chosen if part not in (*PARTS, *VALUES)]
    if unknown:
        raise InputError(f"{unknown[0]!r} is no part of a segmentation experiment; {_parts()}")
    return compose(**chosen)


def _parts() -> str:
    return (
        f"parts are {', '.join(PARTS)}: {EXAMPLE}; values of segmentation are {', '.join(VALUES)}; "
        f"and with data of vtab/ or fgvc/: {RECOGNITION_EXAMPLE}"
    )


def asks_for_composition(config: str) -> bool:
    """Whether what stands in a config's place on the command line names parts instead of a file."""
    return config.partition("=")[0].isidentifier() and "=" in config and not config.endswith(".py")


def _steps(cfg: Config, kind: str) -> list[Any]:
    """Pipeline steps of one kind, wherever the config holds a copy of them."""
    pipelines = [cfg[key] for key in ("train_pipeline", "test_pipeline")]
    sets = [cfg[f"{split}_dataloader"].dataset for split in ("train", "val", "test")]
    pipelines += [unwrapped(dataset).pipeline for dataset in sets]
    return [step for pipeline in pipelines for step in pipeline if step["type"] == kind]


def _fit_classes(cfg: Config) -> None:
    checks = _steps(cfg, "CheckLabels")
    if not checks:
        raise InputError("the data part has no CheckLabels step in its pipelines, which tells how many classes")
    num_classes = checks[0].num_classes
    auxiliary = cfg.model.get("auxiliary_head") or []
    for part in [cfg.model.decode_head, *(auxiliary if isinstance(auxiliary, list) else [auxiliary])]:
        part.num_classes = num_classes
    if "guidance" in cfg.model.backbone:
        cfg.model.backbone.guidance.num_classes = num_classes


def _fit_crop(cfg: Config) -> None:
    size = cfg.model.data_preprocessor.get("size")
    if size is not None:
        for step in _steps(cfg, "RandomCrop"):
            step.crop_size = size
