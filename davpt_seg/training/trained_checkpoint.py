"""What a checkpoint of tools/train.py holds besides numbers: its config and its classes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import nn

from ..core.weights.values import other_kinds
from ..errors import InputError, some
from ..trust.checkpoints import read
from ..trust.config_check import check_config
from ..trust.config_parts import parts_that_predict
from ..trust.config_text import evaluate
from ..visualization.class_colours import colours_of
from .model import build_model
from .refusals import step
from .tasks import SEGMENTATION, refuse_other, task_of

GIVE_TRAINED = "Give the config that was trained, with its --cfg-options"
MOST_LINES = 3  # of torch's about tensors


def read_checkpoint(path: str) -> Mapping[str, Any]:
    """Read a checkpoint that MMEngine wrote, to the CPU.

    Raises:
        InputError: no such file, a damaged one, no checkpoint, or one without a model's weights.
    """
    checkpoint = read(path)
    if not isinstance(checkpoint, Mapping) or not isinstance(checkpoint.get("state_dict"), Mapping):
        raise InputError(f"checkpoint {path!r} holds no 'state_dict'; give a .pth file that a training wrote")
    return checkpoint


def config_text(checkpoint: Mapping[str, Any], path: str) -> str:
    """Return the text of the config that a checkpoint was trained with.

    Raises:
        InputError: there is none.
    """
    meta = checkpoint.get("meta")
    text = meta.get("cfg") if isinstance(meta, Mapping) else None
    if not text or not isinstance(text, str):
        raise InputError(f"checkpoint {path!r} holds no config; give it before the checkpoint: CONFIG CHECKPOINT")
    return text


def embedded_config(
    checkpoint: Mapping[str, Any], path: str, trust: bool = False, tasks: Sequence[str] = (SEGMENTATION,)
) -> Config:
    """Read the config that a checkpoint was trained with, from the checkpoint itself.

    The text is evaluated to plain values and not run. Only what prediction builds is kept, and what that names is
    checked: a stranger's checkpoint imports nothing, calls no function that is not registered, and reads no other file.

    Args:
        checkpoint: a checkpoint as :func:`read_checkpoint` returns it.
        path: the file, for messages.
        trust: run the text as Python and import what it names, as MMEngine does with a config file; keep all of it.
        tasks: tasks whose configs are read; others are refused.

    Raises:
        InputError: there is no config, it is of another task, or it does more than a config of registered classes.
    """
    text = config_text(checkpoint, path)
    if trust:
        return Config.fromstring(text, file_format=".py")
    try:
        config = evaluate(text)
    except InputError as error:
        raise _not_used(path, error) from error
    refuse_other(task_of(config), tasks, f"checkpoint {path!r}")
    try:
        kept = parts_that_predict(config)
        check_config(kept)
        return Config(kept)
    except (InputError, KeyError) as error:  # the latter for keys that MMEngine reserves
        raise _not_used(path, error) from error


def _not_used(path: str, error: Exception) -> InputError:
    return InputError(
        f"the config inside checkpoint {path!r} holds code, or more than registered classes, so it is not used: "
        f"{error}. Give a config that you trust before the checkpoint: CONFIG CHECKPOINT. If you trust the "
        "checkpoint's maker: --trust-config, Predictor(trust_config=True)"
    )


def class_names_and_colours(checkpoint: Mapping[str, Any], path: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of the C classes that a checkpoint was trained on, and their colours (C, 3) in 0..255.

    Raises:
        InputError: the checkpoint does not say.
    """
    meta = dataset_meta(checkpoint)
    found: Mapping[str, Any] = meta if isinstance(meta, Mapping) else {}
    classes: Any = found.get("classes")
    palette = found.get("palette")
    if not _names(classes) or not _colours(palette, len(classes)):
        raise InputError(f"checkpoint {path!r} names no classes and colours (meta.dataset_meta); train.py's do")
    return tuple(classes), np.asarray(palette, dtype=np.uint8)


def detected_classes(checkpoint: Mapping[str, Any], path: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the same of a detector, whose data set need not have a colour for each class.

    Raises:
        InputError: the checkpoint does not name its classes.
    """
    meta = dataset_meta(checkpoint)
    found: Mapping[str, Any] = meta if isinstance(meta, Mapping) else {}
    classes, palette = found.get("classes"), found.get("palette")
    if not _names(classes):
        raise InputError(f"checkpoint {path!r} names no classes (meta.dataset_meta); train.py's do")
    count = len(classes)  # type: ignore[arg-type]
    own = palette[:count] if isinstance(palette, (list, tuple)) else None
    return tuple(classes), colours_of(own if _colours(own, count) else None, count)  # type: ignore[arg-type]


def _names(classes: Any) -> bool:
    return isinstance(classes, Sequence) and len(classes) > 0 and all(isinstance(name, str) for name in classes)


def _colours(palette: Any, count: int) -> bool:
    try:
        colours = np.asarray(palette)
    except ValueError:  # of rows of different lengths
        return False
    return colours.shape == (count, 3) and colours.dtype.kind in "iu" and colours.min() >= 0 and colours.max() < 256


def build_trained(cfg: Config, path: str, name: str) -> BaseModel:
    """Build a config's model with a checkpoint's weights and classes, on the CPU and in eval mode; cfg stays as it is.

    Args:
        cfg: what was trained.
        path: the checkpoint.
        name: the config's name, for messages.

    Raises:
        InputError: the checkpoint cannot be read or is not of the config, or the config's model cannot be built.
    """
    checkpoint = read_checkpoint(path)
    with step(f"the model of {name} cannot be built (model)"):
        model: Any = build_model(cfg)
    load_strictly(model, checkpoint, path, name)
    model.dataset_meta = dataset_meta(checkpoint)
    return model.eval()


def dataset_meta(checkpoint: Mapping[str, Any]) -> Any:
    """Return the classes and colours that a training wrote into a checkpoint; None where it has none."""
    meta = checkpoint.get("meta")
    return meta.get("dataset_meta") if isinstance(meta, Mapping) else None


def load_strictly(model: nn.Module, checkpoint: Mapping[str, Any], path: str, config: str) -> None:
    """Give a model a checkpoint's weights, every one of them and no other.

    Raises:
        InputError: a weight is missing, left over, of another shape, or not floating-point where the model's is.
    """
    if wrong := other_kinds(checkpoint["state_dict"], model.state_dict()):
        raise InputError(f"checkpoint {path!r} is not of {config}: {some(wrong)}")
    try:
        with named(path):
            model.load_state_dict(checkpoint["state_dict"], strict=True)
    except RuntimeError as error:
        raise InputError(f"{mismatch(error, path, config)}. {GIVE_TRAINED}") from error


@contextmanager
def named(path: str, what: str = "checkpoint") -> Iterator[None]:
    """Name the checkpoint in an error of loading it: one without its frozen ViT, where the ViT is another or absent."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{what} {path!r}: {error}") from error


def mismatch(error: RuntimeError, path: str, config: str) -> str:
    """Return torch's message about a checkpoint that is not a model's as one paragraph."""
    lines = [_shortened(line.strip().rstrip("."))[:300] for line in str(error).splitlines() if line.strip()]
    return f"checkpoint {path!r} is not of {config}: {some(lines[1:], MOST_LINES, '; ')}"


def _shortened(line: str) -> str:
    """Cut the list of keys or the sizes in a line of torch's or MMEngine's: 'Missing key(s) in state_dict: ...'."""
    if found := re.fullmatch(r"size mismatch for (\S+): .*torch\.Size\(\[(.*)\]\) .*torch\.Size\(\[(.*)\]\)", line):
        return f"size mismatch for {found[1]}: ({found[2]}) in the file, ({found[3]}) in the model"
    what, colon, names = line.partition(": ")
    return f"{what}{colon}{some(names.rstrip('. ').split(', '))}" if "key" in what and colon else line
