"""Packages that parts of davpt_seg need, what needs them, and how to install them."""

from __future__ import annotations

import shlex
from typing import NamedTuple, Optional

OPENMMLAB = "in a checkout of davpt_seg, pip install '.[openmmlab]' (or '.[onedl]', never both)"
REQUIRED = ("mmengine", "mmcv", "mmseg", "mmpretrain")


class Library(NamedTuple):
    """Optional library.

    Attributes:
        use: what needs it.
        requirements: what pip installs for that use; the library is in the first.
    """

    use: str
    requirements: tuple[str, ...]


PLANS = ("optuna>=4", "pydantic>=2", "pyyaml", "matplotlib", "rich")
EXPORT = ("onnx>=1.16", "onnxruntime>=1.18", "onnxscript>=0.7")
DETECTION = ("mmdet>=3.3,<4", "pycocotools>=2.0.7")
ONEDL_DETECTION = ("onedl-mmdetection>=3.5", "pycocotools>=2.0.7")  # mmdet refuses the fork's mmcv
#: By the name that is imported. Each can be installed without a checkout of this package.
OPTIONAL = {
    "matplotlib": Library("figures", ("matplotlib",)),
    "rich": Library("progress and tables", ("rich",)),
    "pydantic": Library("benchmark: plans", PLANS),
    "yaml": Library("benchmark: plans", PLANS),
    "optuna": Library("benchmark: search by TPE", PLANS),
    "ray": Library("benchmark --cluster", ("ray[client]>=2.52",)),
    "onnx": Library("export --onnx", EXPORT),
    "onnxruntime": Library("export --onnx", EXPORT),
    "onnxscript": Library("export --onnx", EXPORT),
    "tensorboard": Library("train --tensorboard", ("tensorboard>=2.20",)),
    "wandb": Library("train --wandb", ("wandb>=0.31",)),
    "huggingface_hub": Library("adapters of hub:USER/NAME, --push-to-hub", ("huggingface_hub>=0.23",)),
    "mmdet": Library("detection: data=coco", DETECTION),
    "pycocotools": Library("detection: data=coco", DETECTION),
    "torchao": Library("trunk_quantization='int8'", ("torchao>=0.18",)),
    "gradio": Library("explore", ("gradio>=6.20,<7",)),
    "skimage": Library("tools/dataset_converters/demo_scenes.py", ("scikit-image>=0.22",)),
    "nbclient": Library("make notebooks", ("nbclient>=0.10", "ipykernel>=6")),
    "tensorflow_datasets": Library(
        "tools/dataset_converters/vtab1k.py", ("tensorflow-datasets", "tensorflow-cpu", "importlib_resources")
    ),
    "datasets": Library("tools/dataset_converters/vtab1k.py, from a copy for this library", ("datasets",)),
}
#: Distributions whose name is not that of their import.
DISTRIBUTIONS = {"yaml": "PyYAML", "skimage": "scikit-image", "tensorflow_datasets": "tensorflow-datasets"}


#: Packages that a command may need, by the name that is imported, and their names for a reader.
NEEDED = {
    **{name: name for name in REQUIRED},
    **{name: DISTRIBUTIONS.get(name, name) for name in OPTIONAL},
    "pydantic": "pydantic 2",
}


def install(package: str) -> str:
    """Return how to install a package of :data:`NEEDED`: the command, with what its use needs besides.

    MMDetection is the fork's where MMEngine is the fork's.
    """
    if package in REQUIRED:
        return OPENMMLAB
    requirements = OPTIONAL[package].requirements
    if requirements == DETECTION and _is_fork():
        requirements = ONEDL_DETECTION
    return f"pip install {shlex.join(requirements)}"


def _is_fork() -> bool:
    from importlib import metadata  # not above: --help imports this file

    return any(metadata.distributions(name="onedl-mmengine"))


def needed(error: ImportError) -> Optional[str]:
    """Return the package of :data:`NEEDED` whose absence or version raised an error; None for another error."""
    package = (error.name or "").partition(".")[0]
    missing = isinstance(error, ModuleNotFoundError) or package == "pydantic"
    return package if missing and package in NEEDED else None
