"""Keys that other programs, and mmseg before version 1, have in their configs, and the keys here."""

from __future__ import annotations

_OPTIMIZER = "optim_wrapper.optimizer"
_BATCH, _WORKERS = "train_dataloader.batch_size", "train_dataloader.num_workers"
_LENGTH = "train_cfg.max_epochs or train_cfg.max_iters, as the config counts"
#: By a key, or by the beginning of longer ones. What follows is the same here, but for values that are a sentence.
CURRENT = {
    "data.samples_per_gpu": _BATCH,
    "data.workers_per_gpu": _WORKERS,
    **{f"data.{split}": f"{split}_dataloader.dataset" for split in ("train", "val", "test")},
    "data": "train_dataloader, val_dataloader and test_dataloader",
    **dict.fromkeys(("batch_size", "samples_per_gpu"), _BATCH),
    **dict.fromkeys(("num_workers", "workers_per_gpu"), _WORKERS),
    **dict.fromkeys(("lr", "learning_rate"), f"{_OPTIMIZER}.lr"),
    "weight_decay": f"{_OPTIMIZER}.weight_decay",
    "optimizer_config.grad_clip": "optim_wrapper.clip_grad",
    "optimizer_config": "optim_wrapper",
    "optimizer": _OPTIMIZER,
    "lr_config": "param_scheduler, a list of schedules",
    **dict.fromkeys(("runner", "total_epochs", "total_iters", "max_epochs", "max_iters", "epochs"), _LENGTH),
    "evaluation.interval": "train_cfg.val_interval",
    "evaluation.metric": "val_evaluator.iou_metrics",
    "evaluation": "val_evaluator for scores, train_cfg.val_interval for steps",
    "checkpoint_config": "default_hooks.checkpoint",
    "log_config": "default_hooks.logger",
    "seed": "randomness.seed",
    "resume_from": "load_from, with resume=True (or the option --resume CHECKPOINT)",
    "num_classes": "model.decode_head.num_classes (of a classifier, model.head.num_classes)",
}


def current_key(key: str) -> str:
    """Return the key here for a key of other configs; nothing for an unknown one."""
    known = next((each for each in CURRENT if f"{key}.".startswith(f"{each}.")), "")
    current = CURRENT.get(known, "")
    return current if " " in current else current + key[len(known) :] * bool(known)
