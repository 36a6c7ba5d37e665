"""Options that other programs have, and what does the same here."""

from __future__ import annotations

import re
from collections.abc import Sequence

_GPUS = "tools/dist_train.sh CONFIG GPUS starts a process a GPU"
_RATE = "--cfg-options optim_wrapper.optimizer.lr=RATE"
_LENGTH = "--cfg-options train_cfg.max_epochs=N (or train_cfg.max_iters=N, as the config counts)"
_DATA = ("data", "data-root", "data-dir", "data-path")
_BATCH = ("batch-size", "batch", "bs")
_WORKERS = ("num-workers", "workers")
_RATES = ("lr", "learning-rate")
_LENGTHS = ("epochs", "max-epochs", "iters", "max-iters", "iterations")
_OUTPUTS = ("output", "output-dir", "out-dir", "save-dir")
_START = "--cfg-options load_from=CHECKPOINT starts from a model, model.backbone.weights=FILE names weights of the ViT"
#: What commands with ``--cfg-options`` have in place of an option, by its name without dashes.
BY_CONFIG = {
    **dict.fromkeys(("gpus", "num-gpus", "ngpus", "nproc-per-node"), _GPUS),
    **dict.fromkeys(("gpu", "gpu-id", "gpu-ids"), "CUDA_VISIBLE_DEVICES=N before the command chooses a GPU"),
    "device": "CUDA_VISIBLE_DEVICES=N before the command chooses a GPU, CUDA_VISIBLE_DEVICES='' the CPU",
    "seed": "--cfg-options randomness.seed=N",
    "deterministic": "--cfg-options randomness.deterministic=True",
    **dict.fromkeys(("load-from", "pretrained", "weights"), _START),
    **dict.fromkeys(("resume-from", "auto-resume"), "--resume [CHECKPOINT]"),
    **dict.fromkeys(_BATCH, "--cfg-options train_dataloader.batch_size=N"),
    **dict.fromkeys(_WORKERS, "--cfg-options train_dataloader.num_workers=N"),
    **dict.fromkeys(_RATES, _RATE),
    **dict.fromkeys(_LENGTHS, _LENGTH),
    **dict.fromkeys(_DATA, "--cfg-options train_dataloader.dataset.data_root=DIR"),
    **dict.fromkeys(("options", "opts", "cfg-option"), "--cfg-options KEY=VALUE ..."),
    **dict.fromkeys(_OUTPUTS, "--work-dir DIR"),
    **dict.fromkeys(("fp16", "mixed-precision"), "--amp"),
    **dict.fromkeys(("config", "cfg", "model", "method"), "CONFIG is given without an option, first"),
    **dict.fromkeys(("checkpoint", "ckpt"), "CHECKPOINT is given without an option, after CONFIG"),
    "eval": "the config's test_evaluator has the scores: --cfg-options test_evaluator.iou_metrics=[mIoU,mFscore]",
    **dict.fromkeys(("no-validate", "validate"), "--cfg-options val_cfg=None val_dataloader=None val_evaluator=None"),
    "format-only": "--cfg-options test_evaluator.format_only=True test_evaluator.output_dir=DIR",
}


#: Where a command differs, by an option or argument that it has and others lack.
BY_COMMAND = {
    "--resume": {  # train
        **dict.fromkeys(("checkpoint", "ckpt"), f"--resume CHECKPOINT resumes a training; {_START}"),
    },
    "--tta": {  # test and predict
        **dict.fromkeys(_BATCH, "--cfg-options test_dataloader.batch_size=N"),
        **dict.fromkeys(_WORKERS, "--cfg-options test_dataloader.num_workers=N"),
        **dict.fromkeys(_DATA, "--cfg-options test_dataloader.dataset.data_root=DIR"),
        **dict.fromkeys(
            ("load-from", "weights", "pretrained", "resume", "resume-from"),
            "CHECKPOINT is given without an option, after CONFIG",
        ),
        **dict.fromkeys(_OUTPUTS, "--out DIR"),
    },
}
#: Options of :data:`BY_CONFIG` that only a training has.
OF_TRAINING = (*_RATES, *_LENGTHS, "load-from", "pretrained")


def replacement(option: str, options: Sequence[str], arguments: Sequence[str] = ("config", "checkpoint")) -> str:
    """Return what a command has in place of an option of other programs; nothing for other options.

    Args:
        option: unknown option, such as ``--gpus``.
        options: the command's options.
        arguments: names of its positional arguments.
    """
    name = option.lstrip("-").replace("_", "-").lower()
    own = next((table[name] for mark, table in BY_COMMAND.items() if mark in options and name in table), "")
    known = own or ("" if name in OF_TRAINING and "--resume" not in options else BY_CONFIG.get(name, ""))
    if "--cfg-options" not in options or set(re.findall(r"--[a-z][\w-]*", known)) - set(options):
        return ""
    needed = {each.lower() for each in re.findall(r"\b(CONFIG|CHECKPOINT) is given", known)}
    named = " ".join(arguments).lower()
    return known if all(each in named or "given" in named for each in needed) else ""
