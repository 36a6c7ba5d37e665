"""A training without a step: everything is built, one batch is read and learned from, nothing is kept."""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch.utils.data import DataLoader, IterableDataset

from ..core.tuning import trained_table
from ..core.weights.values import some
from ..engine import MetricLossHook
from ..engine.guided import bare_model
from ..errors import InputError
from .check import advise_check
from .classes import check_built_classes
from .start import check_start

# What OpenMMLab, torch and timm raise for what they cannot build or run.
REFUSALS = (ValueError, TypeError, LookupError, AttributeError, AssertionError, RuntimeError, ImportError, OSError)
SHOWN = 3


def dry_run(cfg: Config, name: str) -> None:
    """Go through the start of a training: build it, read, one forward and one backward pass.

    Hooks are built, and only ``MetricLossHook`` is called. Validation and test data are built, and one item is read.

    Args:
        cfg: of the training.
        name: of the config, for messages.

    Raises:
        InputError: a part that cannot be built or run; the message names the part, and where it failed.
    """
    with step("the model, the hooks or the log cannot be built (model, default_hooks, custom_hooks, visualizer)"):
        runner = Runner.from_cfg(cfg)
    check_start(runner)
    with step("the training data loader cannot be built (train_dataloader, train_cfg)"):
        loader = runner.train_dataloader
    check_built_classes(runner)
    kind = (cfg.optim_wrapper.get("optimizer") or {}).get("type")
    with step(f"the optimizer {kind} cannot be built (optim_wrapper)"):
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        runner.scale_lr(runner.optim_wrapper, runner.auto_scale_lr)
    if runner.param_schedulers is not None:
        with step("the schedule of the rate cannot be built (param_scheduler)"):
            runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    with step("no training batch can be read (train_dataloader)"), advise_check(name):
        batch = _first_batch(loader)
    _read_other_data(runner, name)
    with step("the starting weights cannot be read (model)"):
        bare_model(runner).init_weights()
    _learn(runner, batch)
    runner.logger.info(trained_table(bare_model(runner)))
    _report_memory(runner, loader)
    runner.logger.info(
        "Dry run: data, model, optimizer and one forward and backward pass are fine; omit --dry-run to train."
    )


@contextmanager
def step(what: str) -> Iterator[None]:
    """Turn what a part of the run raises into an error that names the part."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{what}: {error}") from error
    except REFUSALS as error:
        _refuse(what, error)


def _refuse(what: str, error: Exception) -> NoReturn:
    if isinstance(error, torch.cuda.OutOfMemoryError):
        raise InputError(
            "the GPU's memory is too small for one training batch: lower train_dataloader.batch_size, use --amp, or "
            f"set model.backbone.with_cp=True ({str(error).splitlines()[0]})"
        ) from error
    place = traceback.extract_tb(error.__traceback__)[-1]
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    reason = " ".join(str(text).split()) or f"not fulfilled: {place.line}"
    raise InputError(f"{what}: {type(error).__name__}: {reason} (at {place.filename}:{place.lineno})") from error


def _first_batch(loader: DataLoader) -> Any:
    """Read the first batch in this process, without data workers."""
    if isinstance(loader.dataset, IterableDataset) or loader.batch_sampler is None:
        return next(iter(loader))
    indices = next(iter(loader.batch_sampler))
    return loader.collate_fn([loader.dataset[index] for index in indices])


def _read_other_data(runner: Runner, name: str) -> None:
    for split, build in (("val", runner.build_val_loop), ("test", runner.build_test_loop)):
        loop = getattr(runner, f"_{split}_loop")
        if loop is None:
            continue
        what = f"the {split} data or its metric cannot be built or read ({split}_dataloader, {split}_evaluator)"
        with step(what), advise_check(name):
            loop = build(loop)
            setattr(runner, f"_{split}_loop", loop)
            loop.dataloader.collate_fn([loop.dataloader.dataset[0]])


def _learn(runner: Runner, batch: Any) -> None:
    """Run one forward and one backward pass, and report what got no gradient."""
    model, wrapper = bare_model(runner), runner.optim_wrapper
    model.train()
    hooks = [hook for hook in runner.hooks if isinstance(hook, MetricLossHook)]
    with step("the forward pass of one training batch fails (model, train_dataloader)"):
        for hook in hooks:
            hook.before_train(runner)
        context = wrapper if isinstance(wrapper, OptimWrapper) else next(iter(wrapper.values()))
        with context.optim_context(runner.model):
            data = model.data_preprocessor(batch, True)
            losses = runner.model(**data, mode="loss") if isinstance(data, dict) else runner.model(*data, mode="loss")
        loss, terms = model.parse_losses(losses)
    listed = {name: float(value) for name, value in terms.items() if "loss" in name}
    bad = [f"{name} is {value}" for name, value in listed.items() if not math.isfinite(value)]
    if bad:
        raise InputError(
            f"the loss of the first batch is not finite: {some(bad)}. Check the images and masks "
            "(tools/check_dataset.py CONFIG), the starting weights and the arguments of the losses"
        )
    runner.logger.info("Losses of one batch: %s", ", ".join(f"{name} {value:.4g}" for name, value in listed.items()))
    with step("the backward pass of one training batch fails (model, optim_wrapper)"):
        context.backward(context.scale_loss(loss))
    for hook in hooks:
        hook.after_train(runner)
    unused = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    if unused:
        runner.logger.warning(
            f"{len(unused)} trained parameters got no gradient ({some(unused)}): nothing that the loss reads depends "
            "on them. Several processes would need find_unused_parameters=True"
        )


def _report_memory(runner: Runner, loader: DataLoader) -> None:
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated() / 2**30
        runner.logger.info(
            f"Peak GPU memory of one pass, batch size {loader.batch_size}: {peak:.1f} GiB without the optimizer's state"
        )
