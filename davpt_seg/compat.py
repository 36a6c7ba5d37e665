"""Fixes for the OpenMMLab packages as pip installs them; importing this module applies none.

They are in one place so that each can be dropped when its cause is gone:

* mmcv-lite has no compiled ``mmcv._ext``, but mmseg 1.2.2 imports ``mmcv.ops`` with its models, and detectors call it.
  Applied at registration, because mmseg imports its models when a name is first looked up; see
  :mod:`davpt_seg.compiled_ops`.
* MMEngine looks up packages with ``pkg_resources``, which setuptools 81 removed. Applied at registration.
* mmpretrain 1.2.0 imports its multimodal models where pycocotools and transformers are installed, and fails with newer
  transformers. Applied when mmpretrain is imported.
* mmdet's metrics of COCO log an error and have no score where no object was found at all. Applied when mmdet's reader
  of annotations is imported.
* ``core`` logs with the standard library, MMEngine with its own loggers. Applied when a config is read or a registered
  backbone is built.
* MMEngine warns of every frozen parameter if an optimizer has ``paramwise_cfg``: 150 times for a frozen ViT. Applied
  while a training's optimizer is built.
* MMEngine formats the complete config for each dump, log and checkpoint: seven times in the shortest training, half a
  second each. Applied when a config is read.
* MMEngine's distributed start and wrapper require a GPU. Applied between reading a config and its Runner.
* mmseg's heads are configured with SyncBN, which needs a GPU and several processes. Applied there, too.
"""

from __future__ import annotations

import copy
import importlib.util
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, Optional

from .errors import InputError

logger = logging.getLogger("davpt_seg")
STACKS = {
    "mmengine": "onedl-mmengine",
    "mmcv-lite": "onedl-mmcv",
    "mmsegmentation": "onedl-mmsegmentation",
    "mmpretrain": "onedl-mmpretrain",
    "mmdet": "onedl-mmdetection",
}


def check_stack() -> bool:
    """Return whether MMEngine is installed.

    Raises:
        ImportError: a package of OpenMMLab and one of the onedl fork are both installed: they overwrite each other, and
            mmdet refuses the fork's mmcv when mmseg's models are imported.
    """
    own, fork = (", ".join(filter(_installed, names)) for names in (STACKS, STACKS.values()))
    if own and fork:
        raise ImportError(
            f"installed side by side: {own} of OpenMMLab and {fork} of its fork. They write to the same folders or "
            "refuse each other's versions. Make a new virtual environment and install either '.[openmmlab,detection]' "
            "or '.[onedl,onedl-detection]' there."
        )
    return importlib.util.find_spec("mmengine") is not None


def _installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


class _PkgResources:
    """Entry of ``sys.meta_path`` that finds our stand-in for ``pkg_resources``."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        """Return the spec of the stand-in, and None for every other module."""
        if name != "pkg_resources":
            return None
        return importlib.util.spec_from_file_location(name, Path(__file__).with_name("distributions.py"))


def provide_pkg_resources() -> None:
    """Let ``import pkg_resources`` find :mod:`davpt_seg.distributions` where nothing else provides it.

    It is the last entry that Python asks, so an installed ``pkg_resources`` is found first. MMEngine reloads the
    module, so that an entry in ``sys.modules`` alone would not do.
    """
    if _PkgResources not in sys.meta_path:
        sys.meta_path.append(_PkgResources)  # type: ignore[arg-type]


def omit_broken_multimodal() -> None:
    """Let mmpretrain register placeholders for its multimodal models where they cannot be imported.

    Call after the import of ``mmpretrain.utils.dependency`` and before that of ``mmpretrain.models``. The models import
    two names from ``transformers.modeling_utils`` that newer versions moved. Its text is searched, because importing it
    takes seconds.
    """
    from mmpretrain.utils import dependency

    spec = importlib.util.find_spec("transformers") if dependency.WITH_MULTIMODAL else None
    if spec is None or spec.origin is None:
        return
    text = Path(spec.origin).with_name("modeling_utils.py").read_text(encoding="utf-8")
    if not all(name in text for name in ("apply_chunking_to_forward", "find_pruneable_heads_and_indices")):
        dependency.WITH_MULTIMODAL = False


def score_empty_results() -> None:
    """Let mmdet's metrics of COCO score results without any object: average precision is 0.

    Call after the import of ``mmdet.datasets.api_wrappers``. pycocotools' ``loadRes`` reads the first result to see
    what results are of, and mmdet's metrics omit all scores where that fails. ``COCOeval`` computes them for images
    without results, and so for all images.
    """
    from mmdet.datasets.api_wrappers import COCO

    load_results = COCO.loadRes

    def load_any_results(truth: Any, results: Any) -> Any:
        if not isinstance(results, list) or results:
            return load_results(truth, results)
        logger.info("No object was found in any image: average precision is 0.")
        found = COCO()
        found.dataset = {key: copy.deepcopy(truth.dataset[key]) for key in ("images", "categories")}
        found.dataset["annotations"] = []
        found.createIndex()
        return found

    COCO.loadRes = load_any_results


class _ToMMEngine(logging.Handler):
    """Handler that passes records to MMEngine's current logger, so to the terminal and the run's log file."""

    def emit(self, record: logging.LogRecord) -> None:
        from mmengine.logging import MMLogger

        MMLogger.get_current_instance().handle(record)


def log_through_mmengine() -> None:
    """Show log records of ``core``, which uses plain ``logging``, in MMEngine's logs; a level that was set stays."""
    logger = logging.getLogger("davpt_seg")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    if not any(isinstance(handler, _ToMMEngine) for handler in logger.handlers):
        logger.addHandler(_ToMMEngine())


def format_assignments_once() -> None:
    """Let MMEngine format each assignment of a config once in a process; the text of a config stays the same.

    The formatter (yapf) treats top-level assignments one by one. MMEngine writes each with its strings as ``repr``, so
    that no line of a value starts with a letter.
    """
    from mmengine.config import config

    original = getattr(config, "FormatCode", None)
    if original is None or hasattr(original, "by_assignment"):
        return

    @lru_cache(maxsize=4096)
    def format_assignment(text: str, style: tuple[tuple[str, Any], ...]) -> str:
        return original(text, style_config=dict(style))[0]

    def format_text(text: str, style_config: dict[str, Any], **_: Any) -> tuple[str, bool]:
        style = tuple(style_config.items())
        assignments = re.split(r"\n(?=\w)", text)  # the lines of a value are indented
        formatted = "".join(format_assignment(assignment, style) for assignment in assignments)
        return formatted, formatted != text

    format_text.by_assignment = True  # type: ignore[attr-defined]
    config.FormatCode = format_text


class _FrozenParameters(logging.Filter):
    """Filter that drops and counts MMEngine's warnings of frozen parameters that the optimizer omits."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def filter(self, record: logging.LogRecord) -> bool:
        frozen = record.getMessage().endswith("is skipped since its requires_grad=False")
        self.count += frozen
        return not frozen


@contextmanager
def frozen_parameters_counted() -> Iterator[None]:
    """Replace MMEngine's warnings of frozen parameters by one line with their number.

    Build the optimizer inside. MMEngine's current logger is restored afterwards.
    """
    from mmengine.logging import MMLogger

    log, frozen = MMLogger.get_current_instance(), _FrozenParameters()
    log.addFilter(frozen)
    try:
        yield
    finally:
        log.removeFilter(frozen)
        if frozen.count:
            log.info(f"{frozen.count} frozen parameters are not in the optimizer.")


def replace_sync_bn(node: Any) -> int:
    """Replace every ``type='SyncBN'`` of a config by ``BN``, in place; return their number."""
    if isinstance(node, (list, tuple)):
        return sum(map(replace_sync_bn, node))
    if not isinstance(node, dict):
        return 0
    found = node.get("type") == "SyncBN"
    if found:
        node["type"] = "BN"
    return found + sum(map(replace_sync_bn, node.values()))


def prepare_cpu_ddp(cfg: Any) -> None:
    """Make ``launcher='pytorch'`` and ``'slurm'`` work without GPU; call between reading a config and its Runner."""
    import torch.distributed  # only here: 'davpt-seg info' needs the rest of this module

    launcher = cfg.get("launcher", "none")
    if launcher not in ("pytorch", "slurm") or torch.cuda.is_available():
        return
    if not torch.distributed.is_initialized():  # MMEngine would call torch.cuda.set_device
        if launcher == "slurm":
            _rank_from_slurm()
        torch.distributed.init_process_group("gloo")
    wrapper = dict(
        type="MMDistributedDataParallel",
        broadcast_buffers=False,
        find_unused_parameters=cfg.get("find_unused_parameters", False),
    )
    wrapper.update(cfg.get("model_wrapper_cfg") or {})
    wrapper["device_ids"] = None  # MMEngine would pass the local rank, which torch refuses on a CPU
    cfg.model_wrapper_cfg = wrapper


def _rank_from_slurm() -> None:
    """Set torch's variables from those of slurm; MMEngine does it only together with CUDA."""
    theirs = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"}
    missing = [name for name in theirs.values() if name not in os.environ]
    if missing:
        raise InputError(f"launcher 'slurm', but {', '.join(missing)} not set: start by srun (tools/slurm_train.sh)")
    os.environ.update({name: os.environ[slurm] for name, slurm in theirs.items()})
    os.environ.setdefault("MASTER_PORT", "29500")
    if "MASTER_ADDR" not in os.environ:
        command = ["scontrol", "show", "hostnames", os.environ["SLURM_JOB_NODELIST"]]
        hosts = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        os.environ["MASTER_ADDR"] = hosts.split()[0]
