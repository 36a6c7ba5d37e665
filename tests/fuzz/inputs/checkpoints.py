"""Changed bytes of checkpoints and weights files: the tensors are those that were saved, or the file is refused.

Safetensors files and torch's legacy format have no checksums, so changed values cannot be detected. Only the
descriptions of their tensors, or their lengths, are changed.
"""

from __future__ import annotations

import io
import random
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch

from davpt_seg.core import PromptedViT
from davpt_seg.core.weights import load_weights
from davpt_seg.training.resume import checkpoint_to_resume
from davpt_seg.training.trained_checkpoint import read_checkpoint

from ..judge import Fuzz, Wrong
from ..mutate import changed_bytes

VIT = dict(img_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2)


class File(NamedTuple):
    """Saved file: its name and bytes, the range to change, and its reader."""

    name: str
    data: bytes
    stop: int
    read: Callable[[str], None]


def fuzz(fuzz: Fuzz, folder: Path) -> None:
    """Judge changed files of each format, and right ones."""
    torch.manual_seed(0)
    trunk = PromptedViT("vit_tiny_patch16_224", timm_kwargs=VIT).trunk
    state = {name: torch.rand_like(value) for name, value in trunk.state_dict().items()}
    files = _files(trunk, state)
    for draw in fuzz.draws():
        file = draw.choice(files)
        data, how = file.data, draw.choice(["right", "bytes", "bytes", "bytes", "members", "members"])
        if how == "members" and zipfile.is_zipfile(io.BytesIO(data)):
            data = _changed_members(data, draw)
        elif how != "right":
            data = changed_bytes(data, draw, 0, file.stop)
        path = folder / file.name
        path.write_bytes(data)
        where = [i for i, (old, new) in enumerate(zip(file.data, data)) if old != new][:1]
        shown = f"{file.name} of {len(file.data)} bytes, {how}, now {len(data)} bytes, first changed {where}"
        right = data == file.data
        fuzz.judge(shown, lambda file=file, path=path: file.read(str(path)), (file.name,), must_work=right)


def _files(trunk: Any, state: dict[str, torch.Tensor]) -> list[File]:
    checkpoint = dict(
        meta=dict(cfg="model = dict(type='x')", epoch=3, iter=30, dataset_meta=dict(classes=("a", "b"))),
        state_dict=state,
        optimizer=dict(state={0: dict(exp_avg=torch.rand(50))}, param_groups=[dict(lr=0.1, params=[0])]),
    )
    header = 8 + struct.unpack("<Q", (weights := safetensors.torch.save(state))[:8])[0]
    legacy = _saved(state, legacy=True)

    def check(found: Any) -> None:
        if _digest(found) != _digest(checkpoint):
            raise Wrong("what was read is not what was saved")

    def resume(path: str) -> None:
        check(dict(read_checkpoint(str(checkpoint_to_resume(str(Path(path).parent), path)))))

    def into_trunk(path: str) -> None:
        with torch.no_grad():
            for value in trunk.state_dict().values():
                value.zero_()
        load_weights(trunk, path)
        if _digest(trunk.state_dict()) != _digest(state):
            raise Wrong("the weights are not those that were saved")

    whole = _saved(checkpoint)
    return [
        File("epoch_3.pth", whole, len(whole), lambda path: check(dict(read_checkpoint(path)))),
        File("iter_30.pth", whole, len(whole), resume),
        File("weights.pth", data := _saved(state), len(data), into_trunk),
        File("weights.safetensors", weights, header, into_trunk),
        File("legacy.pth", legacy, 60, into_trunk),
    ]


def _saved(content: Any, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def _digest(content: Any) -> Any:
    if isinstance(content, torch.Tensor):
        return str(content.dtype), tuple(content.shape), content.contiguous().view(torch.uint8).numpy().tobytes()
    if isinstance(content, dict):
        return {key: _digest(value) for key, value in content.items()}
    return [_digest(each) for each in content] if isinstance(content, (list, tuple)) else content


def _changed_members(data: bytes, draw: random.Random) -> bytes:
    """Write a zip file again with right checksums: members dropped, exchanged, cut, added or doubled."""
    source = zipfile.ZipFile(io.BytesIO(data))
    members = {info.filename: source.read(info) for info in source.infolist()}
    names = list(members)
    first = draw.choice(names)
    how = draw.choice(["drop", "swap", "cut", "add", "double", "rename"])
    if how == "drop":
        del members[first]
    elif how == "swap":
        other = draw.choice([name for name in names if len(members[name]) != len(members[first])])
        members[first], members[other] = members[other], members[first]
    elif how == "cut":
        members[first] = members[first][: len(members[first]) // 2]
    elif how == "rename":
        members[f"{first}x"] = members.pop(first)
    elif how == "add":
        members[draw.choice(["x", f"{names[0].partition('/')[0]}/data/999", "../x", "/etc/x"])] = draw.randbytes(50)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, content in members.items():
            target.writestr(name, content)
        if how == "double":
            _write_again(target, first, draw.randbytes(len(members[first])))
    return buffer.getvalue()


def _write_again(target: zipfile.ZipFile, name: str, content: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of the second one
        target.writestr(name, content)
