"""Search for the configs of this package by name, such as ``davpt/upernet_vitl_ade20k``.

It works without OpenMMLab, for ``davpt-seg configs``.
"""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from typing import Union

from ..errors import InputError, near_names, nearest
from .words import PARTS

PACKAGE = Path(__file__).resolve().parents[1]
CONFIGS = (".py", ".json", ".yaml", ".yml")  # endings that MMEngine reads
CHECKPOINTS = (".pth", ".pt", ".ckpt", ".safetensors", ".npz", ".bin")
LISTING = "'davpt-seg configs' lists those of this package"
# Files of CamVid in 400 iterations: their parts have other names than the file, and values that the words' rows lack.
CAMVID_400I = "head=linear,trunk=vits14_slide112,data=camvid_crop112,schedule=adamw_400i"
VALUES_400I = {
    "vpt_deep+zero_start": ",prompts=20,lr=1e-3,head_lr=1.6e-2",
    "davpt+zero_start": ",prompts=20,guided_prompts=20,prompt_scale=1,lr=1e-3,head_lr=1.6e-2",
}


def config_root() -> Path:
    """Find the folder of the configs of this package.

    Raises:
        InputError: neither an installed package nor a checkout has them.
    """
    # An installed package has them under .mim (setup.py puts them there), an editable one in the checkout around it.
    candidates = (PACKAGE / ".mim" / "configs", PACKAGE.parent / "configs")
    for folder in candidates:
        if (folder.parent / "model-index.yml").is_file() and folder.is_dir():
            return folder
    raise InputError(
        f"there are no configs next to the package: neither {candidates[0]} nor {candidates[1]} exists. "
        "Install davpt_seg from its checkout, by 'pip install .' or 'pip install -e .'"
    )


def config_names(pattern: str = "*") -> list[str]:
    """List the names of the experiments of this package, without ``_base_`` files.

    Args:
        pattern: part of the name, or with ``*``, ``?`` or ``[`` a pattern of the complete name, as in a shell.
    """
    root = config_root()
    experiments = (path.relative_to(root) for path in root.rglob("*.py") if "_base_" not in path.parts)
    complete = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    return sorted(fnmatch.filter((path.with_suffix("").as_posix() for path in experiments), complete))


def find_config(path_or_name: Union[str, Path]) -> str:
    """Return the path of a config from a user's path or name.

    Args:
        path_or_name: path of a file, or a name such as ``davpt/upernet_vitl_ade20k``, with or without ``configs/``
            before and ``.py`` after it.

    Raises:
        InputError: it is neither; the message has the words that compose it, or near names.
    """
    given = Path(path_or_name)
    if not given.exists() and (words := _misspelled_words(str(path_or_name))):
        raise InputError(
            f"config {str(path_or_name)!r} does not exist; words of an experiment are WORD=VALUE, joined by commas "
            f"without blanks: {words}"
        )
    if what := no_config(given):
        raise InputError(f"config {str(path_or_name)!r} {what}")
    if given.is_file():
        return str(given)
    name = given.as_posix().removeprefix("configs/").removesuffix(".py")
    packaged = config_root() / f"{name}.py"
    if name in config_names():
        return str(packaged)
    words = words_for(name)
    beside = [str(given.with_name(path.name)) for path in given.parent.glob("*.py")] if given.suffix == ".py" else []
    if words:
        advice = f"these words compose it: {words}"
    elif near_names(str(given), beside):
        advice = nearest(str(given), beside, LISTING)
    else:
        advice = nearest(name, config_names(), LISTING)
    raise InputError(f"config {str(path_or_name)!r} does not exist; {advice}")


def _misspelled_words(text: str) -> str:
    """Return the words that a user may have meant by ``method: davpt`` or ``--method=davpt``; or nothing."""
    found = re.match(r"\s*-*(\w+)\s*[:=]\s*\S", text)
    if not found or found[1].lower() not in PARTS:
        return ""
    joined = re.sub(r"\s*,\s*|\s+", ",", re.sub(r"\s*[:=]\s*", "=", text.strip().lstrip("-"))).strip(",")
    name, _, rest = joined.partition("=")
    return f"{name.lower()}={rest}"


def no_config(path: Path) -> str:
    """Describe what a user gave in the place of a config: a checkpoint, a folder or another file; or return nothing."""
    if path.is_dir():
        configs = sorted(str(each) for each in path.glob("*.py"))
        inside = f"give its config, {' or '.join(configs[:3])}" if configs else LISTING
        return f"is a folder; {inside}"
    if path.suffix in CHECKPOINTS:
        return (
            "is a checkpoint, and the config comes first: CONFIG CHECKPOINT. A training resumes from it by CONFIG "
            f"--resume {path}, and starts from its weights by CONFIG --cfg-options load_from={path}"
        )
    if path.is_file() and path.suffix not in CONFIGS:
        return f"must be a file that ends in {', '.join(CONFIGS)}, a name or words; {LISTING}"
    return ""


def words_for(name: str) -> str:
    """Return the words of the experiment that the name of a file or work dir describes; empty for other names.

    Args:
        name: name ``.../METHOD/HEAD_TRUNK_DATA``, optionally followed by ``_SCHEDULE`` or, for a method with efficient
            bias, ``_plus``.
    """
    folder, _, stem = name.rpartition("/")
    plus = "_plus" * stem.endswith("_plus")
    method, stem = folder.rpartition("/")[2] + plus, stem.removesuffix("_plus")
    if not method or not set(method.split("+")) <= _parts("methods"):
        return ""
    if stem == "linear_vits14_camvid_400i":
        return f"method={method},{CAMVID_400I}{VALUES_400I.get(method, '')}"
    data, schedules = ("|".join(sorted(_parts(kind))) for kind in ("datasets", "schedules"))
    found = re.fullmatch(rf"(\w+)_(vit[^_]\w*?)_({data})(?:_({schedules}))?", stem)
    if not found or f"{found[1]}_{found[2]}" not in _parts("models"):
        return ""
    words = f"method={method},head={found[1]},trunk={found[2]},data={found[3]}"
    return f"{words},schedule={found[4]}" if found[4] else words


def _parts(kind: str) -> set[str]:
    return {path.stem for path in (config_root() / "_base_" / kind).glob("*.py")}
