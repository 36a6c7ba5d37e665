"""Options that other programs have, and what does the same here."""

from __future__ import annotations

from collections.abc import Sequence

_GPUS = "tools/dist_train.sh CONFIG GPUS starts a process a GPU"
_RATE = "--cfg-options optim_wrapper.optimizer.lr=RATE"
_LENGTH = "--cfg-options train_cfg.max_epochs=N (or train_cfg.max_iters=N, as the config counts)"
_DATA = "--cfg-options train_dataloader.dataset.data_root=DIR"
_START = "--cfg-options load_from=CHECKPOINT starts from a model, model.backbone.weights=FILE names weights of the ViT"
#: By the option without dashes: of commands with ``--cfg-options``.
BY_CONFIG = {
    **dict.fromkeys(("gpus", "num-gpus", "ngpus", "nproc-per-node"), _GPUS),
    **dict.fromkeys(("gpu", "gpu-id", "gpu-ids"), "CUDA_VISIBLE_DEVICES=N before the command chooses a GPU"),
    "device": "CUDA_VISIBLE_DEVICES=N before the command chooses a GPU, CUDA_VISIBLE_DEVICES='' the CPU",
    "seed": "--cfg-options randomness.seed=N",
    "deterministic": "--cfg-options randomness.deterministic=True",
    **dict.fromkeys(("load-from", "pretrained", "weights"), _START),
    **dict.fromkeys(("resume-from", "auto-resume"), "--resume [CHECKPOINT]"),
    **dict.fromkeys(("batch-size", "batch", "bs"), "--cfg-options train_dataloader.batch_size=N"),
    **dict.fromkeys(("num-workers", "workers"), "--cfg-options train_dataloader.num_workers=N"),
    **dict.fromkeys(("lr", "learning-rate"), _RATE),
    **dict.fromkeys(("epochs", "max-epochs", "iters", "max-iters", "iterations"), _LENGTH),
    **dict.fromkeys(
        ("data", "data-root", "data-dir", "data-path"), "--cfg-options train_dataloader.dataset.data_root=DIR"
    ),
    **dict.fromkeys(("options", "opts", "cfg-option"), "--cfg-options KEY=VALUE ..."),
    **dict.fromkeys(("output", "output-dir", "out-dir", "save-dir"), "--work-dir DIR"),
    **dict.fromkeys(("fp16", "mixed-precision"), "--amp"),
    **dict.fromkeys(("config", "cfg", "model"), "CONFIG is given without an option, first"),
    **dict.fromkeys(("checkpoint", "ckpt"), "CHECKPOINT is given without an option, after CONFIG"),
    "eval": "the config's test_evaluator has the scores: --cfg-options test_evaluator.iou_metrics=[mIoU,mFscore]",
    "format-only": "--cfg-options test_evaluator.format_only=True test_evaluator.output_dir=DIR",
}


def replacement(option: str, options: Sequence[str]) -> str:
    """Return what a command has in place of an option of other programs; nothing for other options.

    Args:
        option: unknown, such as ``--gpus``.
        options: of the command.
    """
    known = BY_CONFIG.get(option.lstrip("-").replace("_", "-").lower(), "")
    if "--cfg-options" not in options:
        return ""
    if known.startswith("--") and known.split()[0] not in options:
        return ""
    return known
