"""Any experiment from its parts: method, head, trunk, data and schedule, each a file of ``configs/_base_``.

The files in ``configs/davpt`` and ``configs/baselines`` are such experiments written out, for tools that take files
only; a test holds them equal. MMEngine's ``_base_`` can't do it alone: it refuses two bases that both say something
about ``model``, and a base can't read another's width, depth or number of classes.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..packaged_configs import config_root

PARTS = ("method", "head", "trunk", "data", "schedule")
EXAMPLE = "method=vpt_deep,head=setr_pup,trunk=vitb,data=pascal_context_59,schedule=mmseg_160k"


class CompositionError(ValueError):
    """Parts that do not exist or do not fit; the message names those that do."""


def compose(
    method: str = "davpt",
    head: str = "upernet",
    trunk: str = "vitl",
    data: str = "ade20k",
    schedule: str = "released_160k",
) -> Config:
    """Build the config of an experiment.

    Args:
        method: a file of ``configs/_base_/methods``: ``linear``, ``full``, ``bias``, ``vpt_shallow``, ``vpt_deep``, ...
        head: with the trunk, a file of ``configs/_base_/models``: ``HEAD_TRUNK.py``.
        trunk: the ViT: ``vitl``, ``vitb``, ``vits``, ``vitl14_reg``, ...
        data: a file of ``configs/_base_/datasets``.
        schedule: a file of ``configs/_base_/schedules``.

    Returns:
        The config, named ``METHOD/HEAD_TRUNK_DATA.py`` (and ``_SCHEDULE`` where it is not the released one), as the
        experiment's file is or would be.

    Raises:
        CompositionError: an unknown part; the message lists the known ones. Or a data part without ``CheckLabels``.
    """
    folder = config_root() / "_base_"
    name = f"{head}_{trunk}_{data}" + ("" if schedule == "released_160k" else f"_{schedule}")
    words = f"method={method},head={head},trunk={trunk},data={data},schedule={schedule}"
    cfg = Config({}, cfg_text=f"# {words}\n", filename=f"{method}/{name}.py")
    for kind, part in (
        ("models", f"{head}_{trunk}"),
        ("datasets", data),
        ("schedules", schedule),
        ("runtime", "default"),
        ("methods", method),
    ):
        cfg.merge_from_dict(Config.fromfile(_part(folder / kind, part)).to_dict())
    _fit_classes(cfg)
    _fit_crop(cfg)
    _fit_depth(cfg)
    return cfg


def compose_from_words(words: str) -> Config:
    """Build the config that ``method=vpt_deep,head=setr_pup`` asks for; parts left out are :func:`compose`'s defaults.

    Raises:
        CompositionError: a word that is no ``PART=NAME``, a part named twice, or an unknown one.
    """
    chosen: dict[str, str] = {}
    for word in words.split(","):
        part, _, name = word.partition("=")
        if part not in PARTS or not name:
            raise CompositionError(f"{word!r} is no PART=NAME; parts are {', '.join(PARTS)}: {EXAMPLE}")
        if part in chosen:
            raise CompositionError(f"{part} is named twice: {chosen[part]!r} and {name!r}")
        chosen[part] = name
    return compose(**chosen)


def asks_for_composition(config: str) -> bool:
    """Whether what stands in a config's place on the command line names parts instead of a file."""
    return config.partition("=")[0] in PARTS and not config.endswith(".py")


def _part(folder: Path, name: str) -> Path:
    path = folder / f"{name}.py"
    known = sorted(file.stem for file in folder.glob("*.py"))
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise CompositionError(
            f"there is no {name!r} in {folder}"
            + (f"; did you mean {near[0]!r}?" if near else "")
            + f" Known: {', '.join(known)}"
        )
    return path


def _steps(cfg: Config, kind: str) -> list[Any]:
    """Pipeline steps of one kind, wherever the config holds a copy of them."""
    pipelines = [cfg[key] for key in ("train_pipeline", "test_pipeline")]
    pipelines += [cfg[f"{split}_dataloader"].dataset.pipeline for split in ("train", "val", "test")]
    return [step for pipeline in pipelines for step in pipeline if step["type"] == kind]


def _fit_classes(cfg: Config) -> None:
    checks = _steps(cfg, "CheckLabels")
    if not checks:
        raise CompositionError("the data part has no CheckLabels step in its pipelines, which tells how many classes")
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


def _fit_depth(cfg: Config) -> None:
    """Keep the last prompt counts of a method written for 24 blocks; each of our models reads its last block."""
    depth = max(cfg.model.backbone.out_indices) + 1
    counts = cfg.model.backbone.get("prompts", {}).get("num_prompts")
    if isinstance(counts, list):
        cfg.model.backbone.prompts.num_prompts = counts[-depth:]
