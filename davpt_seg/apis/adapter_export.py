"""An adapter folder out of a checkpoint of tools/train.py."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.config import Config

from ..core.adapter_folder.backbone import PRETRAINED, source_arguments
from ..core.adapter_folder.loading import OF_TRUNK
from ..core.adapter_folder.places import MOST, TENSORS
from ..core.adapter_folder.strict_json import parse
from ..core.adapters.old_lora import current_name
from ..core.delta import fingerprint, frozen_names, origin_of, same_trunk
from ..core.quantization import is_quantized
from ..core.record import RECORD, Record, Source, records_in
from ..core.vit import PromptedViT
from ..errors import InputError, some
from ..experiments.options import put_options
from ..training.model import build_model
from ..training.refusals import step
from ..training.tasks import TASKS
from ..training.trained_checkpoint import config_text, dataset_meta, embedded_config, load_strictly, read_checkpoint
from ..trust.config_parts import innermost
from ..trust.config_text import evaluate
from .adapter_card import Run, Scores, task_card
from .adapters import LATER, PREFIX, adapter_of, write_folder

#: What a model trains with, and an adapter folder omits.
OF_TRAINING = ("backbone.guidance.", "auxiliary_head.")
OWN = "davpt_seg"  # format of the checkpoints of this package
MOST_SCORES = 2**24  # bytes of a JSON of scores


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        folder: where.
        size: bytes of its tensors.
        checkpoint_size: bytes of the checkpoint.
        record: frozen ViT that it needs.
    """

    folder: Path
    size: int
    checkpoint_size: int
    record: Record


def export_adapter(
    checkpoint: Union[str, os.PathLike[str]],
    folder: Union[str, os.PathLike[str]],
    config: Optional[Config] = None,
    trunk: Any = None,
    mapping: bool = False,
    scores: Optional[Union[str, os.PathLike[str]]] = None,
    image: Optional[Union[str, os.PathLike[str]]] = None,
    trust_config: bool = False,
    options: Optional[Mapping[str, Any]] = None,
) -> Exported:
    """Write the adapter of a checkpoint of ``tools/train.py``, with a model card of what the checkpoint knows.

    Args:
        checkpoint: with its frozen ViT in it, or without.
        folder: to write; an earlier adapter in it is replaced in one step.
        config: what was trained; by default the config inside the checkpoint.
        trunk: weights file of the frozen ViT, or ``pretrained``: compared with the checkpoint's, and recorded as its
            source. By default, the source is what the checkpoint, or its config, says. A ViT with random weights is
            nowhere else, so the checkpoint itself is its source.
        mapping: also write guidance's state.
        scores: file that ``davpt-seg test CONFIG CHECKPOINT --json FILE`` wrote, for the card.
        image: file to predict for the card's figure; of segmentors, needs ``trunk``.
        trust_config: see :class:`~davpt_seg.apis.Predictor`.
        options: values by dotted key, over the config inside the checkpoint.

    Raises:
        InputError: a checkpoint that cannot be read or is not of the config, another trunk than the checkpoint's,
            scores of another checkpoint, or options that the config does not take.
    """
    path = os.fspath(checkpoint)
    loaded = read_checkpoint(path)
    cfg = config or embedded_config(loaded, path, trust_config, TASKS)
    put_options(cfg, options or {})
    with step(f"the model of checkpoint {path!r} cannot be built (model)"):
        model: Any = build_model(cfg, {**LATER, "pretrained": False})
    if not isinstance(getattr(model, "backbone", None), PromptedViT):
        raise InputError(f"checkpoint {path!r} has no backbone PromptedViT, so no adapter can be made of it")
    model.dataset_meta = dataset_meta(loaded)
    state, record = loaded["state_dict"], records_in(loaded["state_dict"]).get(PREFIX)
    is_complete = record is None
    if record is None:
        load_strictly(model, loaded, path, "the config inside it" if config is None else "this config")
        names = {name.removeprefix("trunk.") for name in frozen_names(model.backbone)}
        record = Record(fingerprint(model.backbone.trunk, names), _claimed(cfg) or _inside(path, cfg))
    else:
        _check_names(model, state, path)
    if trunk is not None:
        record = _checked(model.backbone, record, trunk, path, is_complete)
    elif is_complete and _is_rounded(model.backbone):
        raise InputError(
            f"checkpoint {path!r} holds its ViT in half precision or int8, and only the file of its weights "
            "says which these were: give it by --trunk FILE"
        )
    tensors, described = adapter_of(model, mapping, record)
    if missing := sorted(name for name in tensors if name not in state or state[name].shape != tensors[name].shape):
        raise InputError(f"checkpoint {path!r} is not of its config: it lacks {some(missing)}, or has other shapes")
    tensors = {name: state[name] for name in tensors}
    about = Run(*_known(loaded, path), scores=_scores(scores, path, loaded.get("meta")))
    written = write_folder(folder, tensors, described, task_card(described, model, about))
    if image is not None:
        figure = _figure(written, image, trunk, trust_config or config is not None)
        card = task_card(described, model, replace(about, figure=True))
        written = write_folder(folder, tensors, described, card, figure)
    return Exported(written, (written / TENSORS).stat().st_size, os.path.getsize(path), record)


def _claimed(cfg: Config) -> Optional[Source]:
    """Return where a config says that a trunk's weights came from; None where it says nothing."""
    backbone = cfg.model.backbone
    weights = backbone.get("weights")
    file = weights.get("path") if isinstance(weights, Mapping) else weights
    if isinstance(file, str) and file:
        network = weights.get("which") if isinstance(weights, Mapping) else None
        return Source(backbone.model_name, re.split(r"[/\\]", file)[-1], network=network or "")
    return Source(backbone.model_name) if backbone.get("pretrained") else None


def _inside(path: str, cfg: Config) -> Source:
    """Return a checkpoint as the source of its ViT, whose config names no weights."""
    return Source(cfg.model.backbone.model_name, os.path.basename(path), format=OWN)


def _check_names(model: Any, state: Mapping[str, Any], path: str) -> None:
    """Refuse a checkpoint without its frozen ViT that holds what its config's model has not, or does not train.

    Raises:
        InputError: such a checkpoint, of which something would be lost.
    """
    frozen = {PREFIX + name for name in frozen_names(model.backbone)}
    own = model.state_dict().keys() - frozen
    further = sorted(name for name in {current_name(name) for name in state} - own if name != PREFIX + RECORD)
    if further := [name for name in further if not name.startswith(OF_TRAINING)]:
        raise InputError(
            f"checkpoint {path!r} is not of its config: {some(further)} would be lost, as the config's model has no "
            "such parameters, or does not train them (model.backbone.tuned); give the config that was trained"
        )


def _is_rounded(backbone: PromptedViT) -> bool:
    """Return whether a ViT is stored in another type than its weights file."""
    return backbone.precision.half is not None or is_quantized(backbone.trunk)


def _checked(backbone: PromptedViT, record: Record, trunk: Any, path: str, is_complete: bool) -> Record:
    """Return the record of the weights that were given, which must be those of the checkpoint.

    Args:
        backbone: built by the checkpoint's config, with the checkpoint's ViT if it is complete.
        record: the record of the checkpoint's ViT.
        trunk: weights that were given.
        path: the checkpoint.
        is_complete: whether the checkpoint holds its ViT.
    """
    arguments = backbone.arguments
    kwargs = {name: arguments[name] for name in ("drop_path_rate", "trunk_mode", *OF_TRUNK)}
    read = PromptedViT(**kwargs, **source_arguments(trunk))
    frozen = frozen_names(backbone)
    found = fingerprint(read.trunk, (name.removeprefix("trunk.") for name in frozen))
    if is_complete and _is_rounded(backbone):
        own = backbone.state_dict()
        if same_trunk(read, {name: own[name] for name in frozen}):  # after the same rounding
            return Record(found, origin_of(read.trunk).source)
    if found != record.fingerprint:
        what = "timm's own weights" if trunk == PRETRAINED else repr(trunk)
        raise InputError(
            f"checkpoint {path!r} was trained on {record}; those of {what} are others (fingerprint {found[:12]})"
        )
    return Record(found, origin_of(read.trunk).source)


def _known(loaded: Mapping[str, Any], path: str) -> tuple[Optional[str], Optional[str], Optional[str], Optional[int]]:
    """Return what a checkpoint says of its run: experiment, data, length, seed; None where it says nothing."""
    meta: Any = loaded.get("meta")
    meta = meta if isinstance(meta, Mapping) else {}
    name = meta.get("experiment_name")
    experiment = re.sub(r"_\d{8}_\d{6}$", "", name) if isinstance(name, str) else None
    counts = [(meta.get(key), what) for key, what in (("iter", "iteration"), ("epoch", "epoch"))]
    trained = ", ".join(f"{n:,} {what}{'s' * (n > 1)}" for n, what in counts if type(n) is int and n > 0)
    seed = meta.get("seed") if type(meta.get("seed")) is int else None
    return experiment, _data(loaded, path), trained or None, seed


def _data(loaded: Mapping[str, Any], path: str) -> Optional[str]:
    try:
        config = evaluate(config_text(loaded, path))
    except InputError:  # code, which a trusted config may hold
        return None
    loader = config.get("train_dataloader")
    dataset = innermost(loader.get("dataset") if isinstance(loader, Mapping) else None)
    kind, root = dataset.get("type"), dataset.get("data_root")
    if not isinstance(kind, str):
        return None
    folder = f" in a folder {Path(root).name!r}" if isinstance(root, str) and Path(root).name else ""
    return f"`{kind}`{folder}"


def _scores(file: Optional[Union[str, os.PathLike[str]]], checkpoint: str, meta: Any) -> tuple[Scores, ...]:
    """Read what ``davpt-seg test --json`` wrote, of this checkpoint, whose ``meta`` has its iteration and seed.

    Raises:
        InputError: no such file, or one of another checkpoint.
    """
    if file is None:
        return ()
    path = Path(file)
    if not path.is_file() or path.stat().st_size > MOST_SCORES:
        raise InputError(f"scores {str(path)!r} must be a file that davpt-seg test CONFIG CHECKPOINT --json FILE wrote")
    content = parse(path.read_bytes(), f"scores {str(path)!r}")
    about = content["about"] if isinstance(content.get("about"), dict) else content  # of classifiers; of segmentors
    values = content["metrics"] if isinstance(content.get("metrics"), dict) else content
    values = {name: value for name, value in values.items() if type(value) in (int, float)}
    config, tested = about.get("config"), about.get("checkpoint")
    if not isinstance(config, str) or not isinstance(tested, str) or not values:
        raise InputError(f"scores {str(path)!r} name no config, checkpoint and scores, as davpt-seg test --json writes")
    meta = meta if isinstance(meta, Mapping) else {}
    differs = [key for key in ("iter", "epoch", "seed") if None not in (about.get(key), meta.get(key))]
    differs = [f"{key} {about[key]}, not {meta[key]}" for key in differs if about[key] != meta[key]]
    both = os.path.exists(tested) and os.path.realpath(tested) != os.path.realpath(checkpoint)
    if both or differs or Path(tested).name != Path(checkpoint).name:
        why = f" ({', '.join(differs)})" if differs else ""
        raise InputError(f"scores {str(path)!r} are of checkpoint {tested!r}{why}, and {checkpoint!r} is exported")
    names = [name if not Path(name).is_absolute() else Path(name).name for name in (config, tested)]
    command = ["davpt-seg", "test", *names]
    command += ["--mode", about["mode"]] if isinstance(about.get("mode"), str) else []
    command += ["--tta"] if about.get("tta") is True else []
    images = about.get("images", content.get("images"))
    return (Scores(values, [*command, "--json", path.name], f"Of {images} images:" if images else ""),)


def _figure(folder: Path, image: Union[str, os.PathLike[str]], trunk: Any, trust_config: bool) -> bytes:
    """Return a PNG of an image beside its prediction."""
    import io

    from ..visualization.predictions import prediction_picture
    from .predictor import Predictor

    predictor = Predictor(folder, trunk=trunk, trust_config=trust_config)
    pixels = predictor.read(image)
    labels = predictor.label(pixels)
    name = Path(image).name
    figure = prediction_picture(pixels[..., ::-1], labels, predictor.classes, predictor.palette, name)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    if len(file.getvalue()) > MOST["figure.png"]:
        raise InputError(f"the figure of {str(image)!r} is too large for a card; take a smaller image")
    return file.getvalue()
