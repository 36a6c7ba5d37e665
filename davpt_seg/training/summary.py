"""First screen of a training or test: the environment, and what the experiment is, in a few lines."""

from __future__ import annotations

import platform
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

import mmengine
import torch
from mmengine.dist import get_world_size
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, Runner

from .. import __version__
from ..audit.preflight import unwrapped
from ..errors import some
from ..long_work import usable_cores
from ..trust.trunk_source import is_prompted_vit
from .watching import backends_of

WIDTH = 13  # of the names in front of each line
LONGEST = 105  # characters of a line about the method
METHOD = ("prompts", "guidance", "adapters", "tuned", "frozen")  # arguments of the backbone that make a method
#: Keys of a model's parts in mmseg, mmpretrain and mmdet, in the order of a forward pass.
PARTS = (
    *("backbone", "neck", "decode_head", "auxiliary_head", "head"),
    *("rpn_head", "roi_head", "bbox_head", "mask_head", "encoder", "decoder"),
)
SPLITS = ("train", "val", "test")


def environment(runner: Runner) -> str:
    """Return the versions, the device, the seed and the log file of a run, as lines."""
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    else:
        device = f"CPU ({platform.machine()}, {counted(torch.get_num_threads(), 'thread')}), no GPU"
    processes = f", {get_world_size()} processes" if get_world_size() > 1 else ""
    return _lines(
        f"davpt_seg {__version__}",
        {
            "versions": f"Python {platform.python_version()}, PyTorch {torch.__version__}, MMEngine "
            f"{mmengine.__version__}",
            "device": f"{device}{processes}",
            "seed": f"{runner.seed}{', deterministic' if runner.deterministic else ''}",
            "work dir": runner.work_dir,
            "log file": f"{runner.logger.log_file}, with the complete config and environment",
        },
    )


def experiment(runner: Runner, name: str) -> str:
    """Return what a training trains, on what, and for how long.

    Args:
        runner: runner with a training loop and an optimizer.
        name: the config as the user named it.
    """
    cfg = runner.cfg
    train: Any = runner.train_dataloader
    rows = {**_model(cfg), "train data": f"{_data(runner, 'train')}, {_batches(train)}"}
    if cfg.get("val_dataloader"):
        rows["val data"] = f"{_data(runner, 'val')}, {_interval(runner)}"
    rows["length"] = _length(runner)
    for key, wrapper in _wrappers(runner).items():
        rows[f"optimizer {key}".strip()] = _indented(_rates(wrapper))
    rows["schedule"] = ", ".join(each["type"] for each in _schedules(cfg)) or "constant rates"
    rows["checkpoints"] = _checkpoints(cfg)
    if curves := backends_of(cfg):
        rows["curves"] = f"the local log, {curves}"
    if cfg.get("load_from"):
        rows["resumes from" if cfg.get("resume") else "starts from"] = cfg.load_from
    return _lines(f"Training of {name}", rows)


def evaluation(runner: Runner, name: str, checkpoint: str) -> str:
    """Return what a test tests, and on what.

    Args:
        runner: runner with a test loop.
        name: the config as the user named it.
        checkpoint: a checkpoint, or an adapter folder.
    """
    loader: Any = runner.test_dataloader
    model = _model(runner.cfg, with_weights=False)  # the checkpoint may hold them
    rows = {"checkpoint": checkpoint, **model, "test data": f"{_data(runner, 'test')}, {_batches(loader)}"}
    return _lines(f"Test of {name}", rows)


def steps_of(runner: Runner) -> int:
    """Return the number of iterations of a training."""
    return int(runner.max_iters)


def validations_of(runner: Runner) -> int:
    """Return about how many validations a training has: its interval may change on the way."""
    interval = getattr(runner.train_loop, "val_interval", None)
    if not runner.cfg.get("val_dataloader") or not interval:
        return 0
    epochs = isinstance(runner.train_loop, EpochBasedTrainLoop)
    return max(int((runner.max_epochs if epochs else runner.max_iters) // interval), 1)


def counted(number: int, unit: str) -> str:
    """Return a number with its unit, in the singular or plural."""
    return f"{number:,} {unit}{'' if number == 1 else 's'}"


def every(interval: int, unit: str) -> str:
    """Return how often something happens."""
    return f"every {unit}" if interval == 1 else f"every {counted(interval, unit)}"


def _lines(title: str, rows: Mapping[str, object]) -> str:
    return "\n".join([title, *(f"  {name:{WIDTH}}{value}" for name, value in rows.items())])


def _indented(lines: Iterable[str]) -> str:
    """Join the lines of one row."""
    return f"\n  {'':{WIDTH}}".join(lines)


def _model(cfg: Any, with_weights: bool = True) -> dict[str, str]:
    model = cfg.model.get("module") or cfg.model  # inside of a test-time augmentation
    backbone = model.get("backbone") or {}
    rows = {"model": f"{_name(model)}: {', '.join(_parts(model))}"}
    if is_prompted_vit(backbone):
        rows["trunk"] = f"{backbone.get('model_name')}{', ' * with_weights}{_weights(backbone) * with_weights}"
        method = [f"{key} {_short(backbone[key])}" for key in METHOD if backbone.get(key)]
        text = "; ".join(method) or "the frozen ViT, without prompts or adapters"
        lines = textwrap.wrap(text, LONGEST, break_long_words=False, break_on_hyphens=False)
        rows["method"] = _indented(lines)
    return rows


def _parts(model: Mapping[str, Any]) -> Iterator[str]:
    for key in PARTS:
        parts = model.get(key)
        for part in parts if isinstance(parts, (list, tuple)) else [parts]:
            if isinstance(part, Mapping):
                classes = f" ({part['num_classes']} classes)" if part.get("num_classes") else ""
                yield f"{_name(part)}{classes}"
                yield from _parts(part)  # a head of regions has heads of boxes and masks


def _name(part: Mapping[str, Any]) -> str:
    kind = part.get("type")
    return kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))


def _weights(backbone: Mapping[str, Any]) -> str:
    weights = backbone.get("weights")
    if weights:
        return f"weights of {weights.get('path', '?') if isinstance(weights, Mapping) else weights}"
    return "timm's pre-trained weights" if backbone.get("pretrained") else "random weights"


def _short(value: Any) -> str:
    """Return a value of a config as one short text."""
    if isinstance(value, Mapping):
        return f"({', '.join(f'{key}={_short(each)}' for key, each in value.items())})"
    if isinstance(value, (list, tuple)):
        return f"[{some([_short(each) for each in value])}]"
    return str(value)


def _data(runner: Runner, split: str) -> str:
    dataset: Any = getattr(getattr(runner, f"{split}_loop").dataloader, "dataset", None)
    config = unwrapped(runner.cfg[f"{split}_dataloader"].dataset)
    root = f" in {config['data_root']}" if config.get("data_root") else ""
    count = f"{len(dataset):,} images" if isinstance(dataset, Sized) else "a stream of images"
    return f"{_name(config)}{root}, {count}"


def _batches(loader: Any) -> str:
    size = getattr(loader, "batch_size", None) or getattr(getattr(loader, "batch_sampler", None), "batch_size", None)
    processes = get_world_size()
    several = f" x {processes} processes = {size * processes}" if size and processes > 1 else ""
    return f"batches of {size or '?'}{several}{_too_many_workers(loader)}"


def _too_many_workers(loader: Any) -> str:
    workers, cores = getattr(loader, "num_workers", 0), usable_cores()
    if workers <= cores:
        return ""
    return f"; {workers} processes read them on {cores} cores: num_workers={cores} may be faster"


def _interval(runner: Runner) -> str:
    loop = runner.train_loop
    unit = "epoch" if isinstance(loop, EpochBasedTrainLoop) else "iteration"
    interval = getattr(loop, "val_interval", None)
    return every(interval, unit) if interval else "never"


def _length(runner: Runner) -> str:
    if isinstance(runner.train_loop, EpochBasedTrainLoop):
        return f"{counted(runner.max_epochs, 'epoch')} of {counted(len(runner.train_dataloader), 'iteration')}"
    return counted(steps_of(runner), "iteration")


def _wrappers(runner: Runner) -> dict[str, OptimWrapper]:
    built: Any = runner.optim_wrapper
    return {"": built} if isinstance(built, OptimWrapper) else dict(built)


def _rates(wrapper: OptimWrapper) -> Iterator[str]:
    """Yield a line for each pair of rate and weight decay of an optimizer, with the number of trained parameters.

    Without rates of its own for any part, MMEngine's optimizer holds the frozen parameters, too.
    """
    groups: dict[tuple[float, float], int] = {}
    for group in wrapper.optimizer.param_groups:
        key = (group.get("initial_lr", group["lr"]), group.get("weight_decay", 0.0))
        groups[key] = groups.get(key, 0) + sum(each.numel() for each in group["params"] if each.requires_grad)
    kind = type(wrapper.optimizer).__name__
    precision = "" if type(wrapper) is OptimWrapper else f", {type(wrapper).__name__}"
    listed = [f"lr {lr:g}, weight decay {decay:g}: {count:,} parameters" for (lr, decay), count in groups.items()]
    yield f"{kind}{precision}, {listed[0]}"
    yield from listed[1:5]
    if len(listed) > 5:
        yield f"... {len(listed) - 5} more pairs of lr and weight decay, in the log file"


def _schedules(cfg: Any) -> list[Mapping[str, Any]]:
    schedules = cfg.get("param_scheduler") or []
    return [each for each in ([schedules] if isinstance(schedules, Mapping) else schedules) if "type" in each]


def _checkpoints(cfg: Any) -> str:
    checkpoint = (cfg.get("default_hooks") or {}).get("checkpoint") or {}
    if not checkpoint:
        return "none"
    unit = "epoch" if checkpoint.get("by_epoch", True) else "iteration"
    best = f", and the best by {checkpoint['save_best']}" if checkpoint.get("save_best") else ""
    return f"{every(checkpoint.get('interval', 1), unit)}{best}"
