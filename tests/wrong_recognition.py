"""Wrong inputs of image classification; ``wrong_inputs`` has the others."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from mmengine.registry import MODELS
from PIL import Image

from davpt_seg.commands.predict import main_predict
from davpt_seg.commands.test import main_test
from davpt_seg.commands.train import main_train
from davpt_seg.core.guidance.targets import Labelling
from davpt_seg.engine.batch_labels import batch_labels

from .recognition import write_vtab
from .wrong_case import wrong

WORDS = "trunk=vits14,data=vtab/eurosat"


def train(folder: Path, words: str, *arguments: str) -> None:
    """Run tools/train.py in this process until its error, on a small EuroSAT in VTAB's layout."""
    with mock.patch.dict(os.environ, VTAB_ROOT=str(write_vtab(folder / "vtab", "eurosat"))):
        main_train([words, "--dry-run", "--work-dir", tempfile.mkdtemp(), *arguments])


def case_of_words(does: str, words: str, *says: str) -> None:
    """Add a case of wrong words in place of a config."""
    wrong("Words, lists and converters", f"`{words}`: {does}", *says)(lambda folder: train(folder, words))


case_of_words("a misspelled task", "data=vtab/dtdd", "no 'vtab/dtdd' in", "did you mean 'vtab/dtd'")
case_of_words("no classifier's trunk", "data=vtab/dtd,trunk=vitl", "no 'classifier_vitl' in", "classifier_vitb")
case_of_words("the split is chosen by purpose", "data=vtab/dtd,split=test", "split=test", "choose, final")
case_of_words(
    "a word that the method does not have", "data=vtab/dtd,method=linear,prompts=5", "has no prompts; known: lr"
)
case_of_words("a misspelled word", "data=vtab/dtd,weigth_decay=0.1", "did you mean 'weight_decay'?")
case_of_words("no number", "data=vtab/dtd,lr=fast", "lr=fast: expected a number above 0")
case_of_words("VPT's recipe without its rate", "data=vtab/dtd,schedule=vpt_100e,method=vpt_deep", "add lr=")
case_of_words(
    "a schedule of segmentation",
    "data=vtab/dtd,schedule=mmseg_160k",
    "classification (data=vtab/dtd) has schedule",
    "davpt_100e",
)
case_of_words(
    "images of a class that no batch holds", "data=vtab/dtd,samples_per_class=64", "a batch has 32", "raise batch"
)
case_of_words(
    "the release's classifier on label maps", "method=davpt_release", "is for image", "Use davpt or davpt_plus"
)
case_of_words(
    "epochs of warm-up without a task",
    "method=davpt,warmup_epochs=5",
    "'warmup_epochs' is no word",
    "it is a word of classification",
    "data=vtab/",
)


@wrong(
    "Words, lists and converters",
    "`train.py` with `VTAB_ROOT` wrong or not set",
    "nowhere/eurosat' does not exist",
    "vtab1k.py",
)
def _(folder: Path) -> None:
    with mock.patch.dict(os.environ, VTAB_ROOT=str(folder / "nowhere")):
        main_train([WORDS, "--dry-run", "--work-dir", tempfile.mkdtemp()])


@wrong("Words, lists and converters", "mmpretrain is not installed", "needs mmpretrain", "pip install mmpretrain")
def _(folder: Path) -> None:
    with mock.patch("importlib.util.find_spec", return_value=None):
        train(folder, WORDS)


@wrong(
    "Words, lists and converters",
    "MoCo-v3's weights are not there",
    "vit-b-300ep.pth.tar",
    "does not exist",
    "DAVPT_MOCOV3",
)
def _(folder: Path) -> None:
    with mock.patch.dict(os.environ, DAVPT_MOCOV3=str(folder / "vit-b-300ep.pth.tar")):
        train(folder, "trunk=vitb_mocov3,data=vtab/eurosat")


@wrong(
    "Words, lists and converters",
    "`train.py --test FOLDER`, refused before the training",
    "is a folder; name the file to write",
)
def _(folder: Path) -> None:
    train(folder, WORDS, "--test", str(folder))


@wrong("Words, lists and converters", "`test.py --show-dir`, which paints label maps", "--show-dir is for segmentation")
def _(folder: Path) -> None:
    with mock.patch.dict(os.environ, VTAB_ROOT=str(write_vtab(folder, "eurosat"))):
        main_test([WORDS, str(folder / "epoch_9.pth"), "--show-dir", str(folder / "out")])


@wrong(
    "Words, lists and converters",
    "`predict.py`, which paints label maps, with a classifier",
    "ImageClassificationInferencer",
)
def _(folder: Path) -> None:
    config = "default_scope = 'mmpretrain'\nmodel = dict(type='ImageClassifier')\n"
    meta = dict(cfg=config, dataset_meta=dict(classes=("cat", "dog")))
    torch.save(dict(state_dict={}, meta=meta), folder / "epoch_100.pth")
    Image.new("RGB", (8, 8)).save(folder / "cat.jpg")
    main_predict([str(folder / "epoch_100.pth"), str(folder / "cat.jpg")])


def backbone(**arguments: Any) -> None:
    """Build a backbone of two blocks from a config, as MMEngine does."""
    sizes = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2)
    config = dict(type="PromptedViT", model_name="vit_tiny_patch16_224", timm_kwargs=sizes)
    MODELS.build({**config, **arguments})


@wrong("Words, lists and converters", "`out_type='cls'`", "out_type must be one of", "'cls_token'", "got 'cls'")
def _(folder: Path) -> None:
    backbone(out_type="cls")


@wrong(
    "Words, lists and converters",
    "`class_means='image'` with a separate label for every patch",
    "set labelling=dict(labels='image')",
)
def _(folder: Path) -> None:
    backbone(
        prompts=dict(num_prompts=3),
        guidance=dict(num_classes=5, labelling=dict(labels="patch"), mapping=dict(class_means="image")),
    )


@wrong(
    "Words, lists and converters",
    "`class_means='final'` of a backbone that returns maps",
    "set out_type='cls_token' or 'avg_featmap'",
)
def _(folder: Path) -> None:
    backbone(
        prompts=dict(num_prompts=3),
        guidance=dict(num_classes=5, labelling=dict(labels="image"), mapping=dict(class_means="final")),
    )


@wrong(
    "Words, lists and converters",
    "`pool_prompts=True` where no prompt stays in the sequence",
    "set out_type='avg_featmap'",
    "carry=-1",
)
def _(folder: Path) -> None:
    backbone(prompts=dict(num_prompts=3), out_type="avg_featmap", pool_prompts=True)


@wrong(
    "Words, lists and converters",
    "`init_scale=8`, the divisor",
    "prompts init_scale must be a number above 0 and at most 1, got 8",
)
def _(folder: Path) -> None:
    backbone(prompts=dict(num_prompts=3, init="release", init_scale=8))


@wrong(
    "Words, lists and converters",
    "`guidance.num_classes` below the head's",
    "'cat.jpg' has gt_label [46]",
    "num_classes 10",
)
def _(folder: Path) -> None:
    from mmpretrain.structures import DataSample

    sample = DataSample(metainfo=dict(img_path="cat.jpg")).set_gt_label(46)
    batch_labels(torch.zeros(1, 3, 8, 8), [sample], Labelling((8, 8), 10))
