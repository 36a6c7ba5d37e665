"""Cache of the bare ViT's class means on disk, for later runs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from typing import Any, Optional

import timm
import torch
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from .. import __version__
from ..core.weights.checksum import checksum, with_checksum
from ..errors import InputError
from ..models.prompted_vit import PromptedViTBackbone
from ..replacing import replacing


class ClassMeansCache:
    """Folder with one file of class means for each set of everything that determines them.

    Args:
        folder: path of the folder, which is created if necessary.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        os.makedirs(folder, exist_ok=True)

    def path(self, key: str) -> str:
        """Return the path of a key's file, which may not exist."""
        return os.path.join(self.folder, f"class_means_{key[:32]}.safetensors")

    def load(self, key: str) -> Optional[tuple[Tensor, Tensor]]:
        """Read means (C, D) and counts (C,); None if the file does not exist or, with a warning, is broken."""
        path = self.path(key)
        if not os.path.exists(path):
            return None
        try:
            with safe_open(path, framework="pt") as file:
                found = {name: file.get_tensor(name) for name in ("means", "counts")}
                intact = (file.metadata() or {}).get("checksum") == checksum(found)
                why = "its checksum is wrong"
        except (SafetensorError, OSError) as error:
            intact, why = False, str(error)
        if intact:
            return found["means"], found["counts"]
        MMLogger.get_current_instance().warning(f"Cached class means {path} are broken ({why}); computing them again.")
        return None

    def store(self, key: str, means: Tensor, counts: Tensor) -> str:
        """Write means (C, D) and counts (C,) atomically; return the path."""
        tensors = {"means": means.cpu().contiguous(), "counts": counts.cpu().contiguous()}
        with replacing(self.path(key), shared=True) as part:
            part.write_bytes(save(tensors, with_checksum(tensors, {"key": key})))  # save_file's permissions are 0600
        return self.path(key)


def cache_key(runner: Runner, backbone: PromptedViTBackbone, **pass_settings: Any) -> str:
    """Return a digest of all that the first class means depend on.

    That is the trunk (architecture and weights, without adapters), preprocessing, precision, choice and labelling of
    the averaged tokens, the data set's config with path, size and time of every file that it names, its loading, and
    our version.

    Args:
        runner: runner with a config, whose ``train_dataloader`` describes the data.
        backbone: backbone with guidance.
        **pass_settings: bounds of the pass, number of processes.

    Raises:
        ValueError: the runner was built without a config, or its data set is not from MMEngine.
    """
    guidance, loader = backbone.guidance, runner.train_dataloader
    assert guidance is not None
    if "train_dataloader" not in runner.cfg or not hasattr(loader.dataset, "get_data_info"):
        raise InputError(
            "PromptMappingHook cache_dir needs a Runner made from a config (Runner.from_cfg) and an MMEngine data set, "
            "which describe the data; omit cache_dir"
        )
    of_patches = ["patch", guidance.metric.token_side, guidance.metric.patch_tokens]
    of_images = ["image", guidance.metric.cls_side, guidance.metric.image_token]
    means_of = dict(patch=of_patches, image=of_images, final=["final", *backbone.outputs])
    digest = hashlib.sha256()
    settings = dict(
        pass_settings,
        versions=[__version__, timm.__version__, torch.__version__],
        block=guidance.blocks[-1],
        class_means=means_of[guidance.class_means],
        labelling=repr(guidance.labelling),
        seed=guidance.mapping.seed,
        device=guidance.mapping.class_means.device.type,
        precision=_precision(runner.optim_wrapper),
        dataset=runner.cfg.train_dataloader.dataset,
        preprocessor=runner.cfg.get("model", {}).get("data_preprocessor"),
    )
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    for name, module in [*backbone.trunk.named_modules(), *backbone.biases.named_modules()]:
        _digest_module(name, module, digest)
    for line in _data_lines(loader.dataset):
        digest.update(line.encode())
    return digest.hexdigest()


def _precision(wrapper: Any) -> list[str]:
    """Describe the precision of an optimizer wrapper's ``optim_context``: its type, or a given one."""
    return [type(wrapper).__name__, *(str(getattr(wrapper, name, None)) for name in ("cast_dtype", "dtype"))]


def _digest_module(name: str, module: nn.Module, digest: Any) -> None:
    plain = {key: value for key, value in vars(module).items() if isinstance(value, (bool, int, float, str, tuple))}
    plain.pop("training", None)
    digest.update(f"{name} {type(module).__name__} {sorted(plain.items())}".encode())
    for own, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
        digest.update(f"{own} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))


def _data_lines(dataset: Any) -> Iterator[str]:
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        yield json.dumps(info, sort_keys=True, default=str)
        for name, value in sorted(info.items()):
            if name.endswith("path") and isinstance(value, str) and os.path.isfile(value):
                status = os.stat(value)
                yield f"{value} {status.st_size} {status.st_mtime_ns}"


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
