"""A training without a step: everything is built, one batch is read and learned from, nothing is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..core.tuning import trained_table
from ..engine import DataMeanInitHook, FloatHeadsHook, MetricLossHook
from ..engine.guided import bare_model
from ..errors import InputError, some
from ..experiments.compose import asks_for_composition, origins
from ..models import PromptedViTBackbone
from ..terminal.program import command_line, program
from .build_training import build_training
from .dry_evaluation import evaluate_batch, first_batch
from .refusals import advise_check, step
from .step_time import StepTime, Stopwatch, estimate
from .watching import backends_of, without_backends

MEMORY = "lower train_dataloader.batch_size, use --amp, or set model.backbone.with_cp=True"
REPEATED = 20.0  # seconds of a first pass up to which it is repeated: it is slower than later ones


def dry_run(cfg: Config, name: str, arguments: Sequence[str]) -> None:
    """Go through a training's start, one forward and backward pass, and one batch of validation and of test.

    Hooks are built, and only ``MetricLossHook`` and ``FloatHeadsHook`` are called; prompts that await prototypes of the
    data keep their random values. A test that has the data and metric of validation is built and not run.

    Args:
        cfg: config of the training.
        name: the config as the user named it; words are listed with the origin of each value.
        arguments: this command's arguments, repeated in the next one.

    Raises:
        InputError: a part that cannot be built or run; the message names the part, and where it failed.
    """
    curves = backends_of(cfg)
    without_backends(cfg)
    runner = build_training(cfg, name, ("val", "test"))
    if curves:
        runner.logger.info(f"Curves of the training: the local log, {curves}")
    if asks_for_composition(name):
        runner.logger.info(origins(name))
    reading = Stopwatch()
    with step("no training batch can be read (train_dataloader)"), advise_check(name):
        batch = first_batch(runner.train_dataloader)
    read = reading.seconds()
    with step("the starting weights cannot be read (model)"):
        bare_model(runner).init_weights()
    learned = _learn(runner, batch)
    runner.logger.info(trained_table(bare_model(runner)))
    _report_memory(runner, runner.train_dataloader)
    evaluated = {
        split: evaluate_batch(runner, split, name)
        for split in ("val", "test")
        if not (split == "test" and _tests_as_it_validates(cfg))
    }
    runner.logger.info(estimate(runner, StepTime(read, learned), evaluated.get("val", 0.0)))
    words = [each for each in arguments if each != "--dry-run"]
    runner.logger.info(
        "Dry run: data, model, optimizer, one forward and backward pass and one batch of each evaluation are fine; "
        f"nothing was trained. Next: {command_line('train', *words)}"
    )


def _tests_as_it_validates(cfg: Config) -> bool:
    return all(cfg.get(f"test_{part}") == cfg.get(f"val_{part}") for part in ("dataloader", "evaluator"))


def _learn(runner: Runner, batch: Any) -> float:
    """Run one forward and one backward pass, report what got no gradient, and return the time of a pass."""
    model, wrapper = bare_model(runner), runner.optim_wrapper
    model.train()
    if any(isinstance(hook, DataMeanInitHook) for hook in runner.hooks):
        for backbone in (module for module in model.modules() if isinstance(module, PromptedViTBackbone)):
            if backbone.prompts:
                backbone.prompts.keep_initial()
    for hook in runner.hooks:
        if isinstance(hook, FloatHeadsHook):
            hook.before_run(runner)
    hooks = [hook for hook in runner.hooks if isinstance(hook, MetricLossHook)]
    with step("the forward pass of one training batch fails (model, train_dataloader)", MEMORY):
        for hook in hooks:
            hook.before_train(runner)
        context = wrapper if isinstance(wrapper, OptimWrapper) else next(iter(wrapper.values()))
        watch = Stopwatch()
        with context.optim_context(runner.model):
            data = model.data_preprocessor(batch, True)
        loss, terms = _losses(runner, context, data)
    listed = {name: float(value.detach()) for name, value in terms.items() if "loss" in name}
    bad = [f"{name} is {value}" for name, value in listed.items() if not math.isfinite(value)]
    if bad:
        raise InputError(
            f"the loss of the first batch is not finite: {some(bad)}. Check the images and masks "
            f"({program('check-dataset')} CONFIG), the starting weights and the arguments of the losses"
        )
    runner.logger.info("Losses of one batch: %s", ", ".join(f"{name} {value:.4g}" for name, value in listed.items()))
    with step("the backward pass of one training batch fails (model, optim_wrapper)", MEMORY):
        context.backward(context.scale_loss(loss))
        seconds = watch.seconds()
        if seconds < REPEATED:
            watch = Stopwatch()
            context.backward(context.scale_loss(_losses(runner, context, data)[0]))
            seconds = watch.seconds()
    for hook in hooks:
        hook.after_train(runner)
    unused = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    if unused:
        runner.logger.warning(
            f"{len(unused)} trained parameters got no gradient ({some(unused)}): nothing that the loss reads depends "
            "on them. Several processes would need find_unused_parameters=True"
        )
    return seconds


def _losses(runner: Runner, context: OptimWrapper, data: Any) -> tuple[Any, Any]:
    """Run one forward pass, and return the sum of the losses and each of them."""
    with context.optim_context(runner.model):
        losses = runner.model(**data, mode="loss") if isinstance(data, dict) else runner.model(*data, mode="loss")
    return bare_model(runner).parse_losses(losses)


def _report_memory(runner: Runner, loader: DataLoader) -> None:
    if torch.cuda.is_available():
        peak = torch.cuda.max_memory_allocated() / 2**30
        runner.logger.info(
            f"Peak GPU memory of one pass, batch size {loader.batch_size}: {peak:.1f} GiB without the optimizer's state"
        )
