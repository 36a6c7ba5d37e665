"""Words of an experiment: ``method=davpt,head=linear,lr=1e-3``, changed."""

from __future__ import annotations

import math
from pathlib import Path

from davpt_seg.experiments.compose import compose_from_words

from ..judge import Fuzz, Wrong
from ..mutate import changed_list, changed_text

RIGHT = [
    "method=davpt,head=linear,trunk=vits14,data=camvid_168x224",
    "method=vpt_deep,head=setr_pup,trunk=vitb,data=pascal_context_59,schedule=mmseg_160k",
    "method=lora+guidance,head=linear,trunk=vits14,data=camvid_crop112,schedule=adamw_iters,iters=60,lr=1e-3,rank=4",
    "method=linear,head=linear,trunk=vits14,data=camvid_crop112,schedule=adamw_iters,iters=60,split=choose,lr=0.5",
    "method=davpt_plus,trunk=vitb_mae,data=vtab/dtd,split=final,lr=1e-3,epochs=50",
    "method=vpt_deep,trunk=vits14,data=vtab/dmlab,epochs=20,prompts=4,batch_size=32,image_size=112,weight_decay=0.01",
    "method=lora,trunk=vitb_mocov3,data=fgvc/cub,rank=4,lr=1e-2,head_lr=1e-3,drop_path=0.1",
]


def use(words: str) -> None:
    """Compose the experiment, and look for its values in the config.

    Raises:
        Wrong: a value of the words is not in the config, or is impossible.
    """
    cfg = compose_from_words(words)
    read = dict(word.split("=", 1) for word in words.split(","))
    optimizer, backbone = cfg.optim_wrapper.optimizer, cfg.model.backbone
    found = {
        "lr": optimizer.get("lr"),
        "batch_size": cfg.train_dataloader.batch_size,
        "epochs": cfg.train_cfg.get("max_epochs"),
        "iters": cfg.train_cfg.get("max_iters"),
        "rank": next((a.rank for a in backbone.get("adapters", ()) if "rank" in a), None),
    }
    for name, value in found.items():
        if name in read and (value != float(read[name]) or not 0 <= value < math.inf):
            raise Wrong(f"{name} is {value}")
    for name in ("epochs", "iters", "batch_size", "rank"):
        if name in read and found[name] < 1:
            raise Wrong(f"{name} is {found[name]}")
    if len(cfg.filename.split("/")[-1].encode()) > 255:
        raise Wrong(f"the config's name is too long for a file: {cfg.filename}")


def fuzz(fuzz: Fuzz, folder: Path) -> None:
    """Judge changed words, and a few right ones."""
    for draw in fuzz.draws():
        right = words = draw.choice(RIGHT)
        how = draw.choice(["right", "text", "text", "words", "words", "words"])
        if how == "text":
            words = changed_text(words, draw)
        elif how == "words":
            words = ",".join(changed_list(words.split(","), draw))
        fuzz.judge(repr(words), lambda words=words: use(words), _names(words), must_work=words == right)


def _names(words: str) -> set[str]:
    """Return the pieces that a message may name, long ones shortened."""
    pieces = {piece for word in words.split(",") for piece in (word, *word.partition("=")[::2])}
    return {text for piece in pieces for text in (piece[:60], repr(piece)[1:60])} | {"''", "WORD=VALUE"}
