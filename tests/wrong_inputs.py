"""Cases of wrong inputs: what a user does, and parts of the message."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import re
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, Callable
from unittest import mock

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope
from PIL import Image

from davpt_seg import compat, registration
from davpt_seg.commands.check_dataset import main_check_dataset
from davpt_seg.commands.test import main_test
from davpt_seg.commands.train import main_train
from davpt_seg.compiled_ops import stub
from davpt_seg.converters.pascal_context import CLASS_IDS
from davpt_seg.core import PromptedViT
from davpt_seg.training.refusals import advise_check

from .converters.pascal_release import label_maps, write_json, write_mats, write_voc
from .recognition import write_fgvc, write_vtab
from .scenes import write_ade20k, write_camvid, write_pascal_context
from .training import tiny_camvid
from .wrong_case import ROOT, wrong

CAMVID = "configs/davpt/linear_vits14_camvid.py"
ADE20K = "configs/davpt/upernet_vitl_ade20k.py"
PASCAL_CONTEXT = "configs/davpt/upernet_vitl_pascal_context.py"


# --- Backbone ---------------------------------------------------------------------------------------------------------


def backbone(**arguments: Any) -> Any:
    """Build a backbone of two blocks from a config, as MMEngine does."""
    config = dict(
        type="PromptedViT",
        model_name="vit_tiny_patch16_224",
        timm_kwargs=_of_width(32),
    )
    return MODELS.build({**config, **arguments})


def case_of_backbone(does: str, *says: str, **arguments: Any) -> None:
    """Add a case of a wrong argument of the backbone."""
    wrong("Backbone", does, *says)(lambda folder: backbone(**arguments))


PROMPTS = dict(num_prompts=5)
case_of_backbone("`backbone=dict(promts=...)`: a misspelled argument", "'promts'", "'prompts'", promts=PROMPTS)
case_of_backbone(
    "`prompts=dict(num_promts=10)`",
    "prompts has no argument 'num_promts'",
    "'num_prompts'",
    prompts=dict(num_promts=10),
)
case_of_backbone(
    "`guidance=dict(num_class=11)`",
    "guidance has no argument 'num_class'",
    "'num_classes'",
    prompts=PROMPTS,
    guidance=dict(num_class=11),
)
case_of_backbone(
    "`guidance=dict()` without `num_classes`", "guidance needs num_classes", prompts=PROMPTS, guidance=dict(blocks=[1])
)
case_of_backbone(
    "`tuned=['blocks.*.atn.value_bias']`: a misspelled name",
    "'blocks.*.atn.value_bias'",
    "did you mean 'blocks.*.attn.value_bias'",
    tuned=["blocks.*.atn.value_bias"],
)
case_of_backbone(
    "`tuned='blocks.*.norm1.weight'`: a string instead of a list",
    "must be a list of strings",
    tuned="blocks.*.norm1.weight",
)
case_of_backbone(
    "a guided block that the ViT does not have",
    "guided blocks [12]",
    "the ViT has 2 blocks, 0 to 1",
    prompts=PROMPTS,
    guidance=dict(num_classes=3, blocks=[12]),
)
case_of_backbone("`out_indices` of a deeper ViT", "out_indices [5, 11, 17, 23]", "0 to 1", out_indices=(5, 11, 17, 23))
case_of_backbone("`num_prompts=-1`", "num_prompts", "-1", prompts=dict(num_prompts=-1))
case_of_backbone("`num_prompts=999999999999`", "got 999999999999", "100,000", prompts=dict(num_prompts=999999999999))
case_of_backbone("`rank=999999999999` of LoRA", "rank", "100,000", adapters=[dict(type="lora", rank=999999999999)])
case_of_backbone("`depth=999999999999`", "depth must be at most 1000", timm_kwargs=dict(depth=999999999999))
case_of_backbone(
    "`img_size=10000000`",
    "50,000,000,0",
    "are built",
    timm_kwargs=dict(img_size=10000000, embed_dim=32, num_heads=2, depth=1, patch_size=8),
)
case_of_backbone(
    "`num_prompts=[20, 20, 10]` for two blocks", "or 2 of them (one per block)", prompts=dict(num_prompts=[20, 20, 10])
)
case_of_backbone("`prompts=dict(norm='l1')`", "norm", "'l1'", prompts=dict(num_prompts=5, norm="l1"))
case_of_backbone(
    "guidance without prompts", "guided blocks must have prompts", guidance=dict(num_classes=3, blocks=[1])
)
case_of_backbone(
    "guided blocks with different numbers of prompts",
    "the same number each",
    "{0: 5, 1: 4}",
    prompts=dict(num_prompts=[5, 4]),
    guidance=dict(num_classes=3, blocks=[0, 1]),
)
case_of_backbone(
    "`guidance=dict(metric=dict(prompt_side='keys'))`",
    "prompt_side must be one of",
    "'keys'",
    prompts=PROMPTS,
    guidance=dict(num_classes=3, metric=dict(prompt_side="keys")),
)
case_of_backbone(
    "`guidance=dict(metric=dict(divisor='mean'))`",
    "divisor must be one of",
    "'mean'",
    prompts=PROMPTS,
    guidance=dict(num_classes=3, metric=dict(divisor="mean")),
)
case_of_backbone(
    "`guidance=dict(labelling=dict(purity=50))`: per cent",
    "purity",
    "at most 1",
    prompts=PROMPTS,
    guidance=dict(num_classes=3, labelling=dict(purity=50)),
)
case_of_backbone(
    "an `ignore_index` that is a class",
    "ignore_index 2",
    prompts=PROMPTS,
    guidance=dict(num_classes=3, labelling=dict(ignore_index=2)),
)
case_of_backbone(
    "the class token's loss on a ViT without class token",
    "guidance needs a class token",
    prompts=PROMPTS,
    guidance=dict(num_classes=3),
    timm_kwargs=dict(
        img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2, class_token=False, global_pool="avg"
    ),
)
case_of_backbone("`trunk_mode='frozen'`", "trunk_mode must be one of", "'frozen'", trunk_mode="frozen")
case_of_backbone(
    "drop-path on a trunk that stays in eval mode", "drop_path_rate=0.1", "trunk_mode='eval'", drop_path_rate=0.1
)
case_of_backbone(
    "`pretrained=True` and `weights=...`", "two sources of weights", pretrained=True, weights="vit.safetensors"
)
case_of_backbone("`trunk_dtype='bf16'`", "trunk_dtype must be one of", "'bfloat16'", "got 'bf16'", trunk_dtype="bf16")
case_of_backbone(
    "half precision of a trunk whose parameters are tuned",
    "trunk_dtype='float16' is for a frozen trunk",
    "blocks.0.norm1.weight",
    "Omit trunk_dtype (--amp",
    trunk_dtype="float16",
    tuned=["blocks.*.norm1.weight"],
)
case_of_backbone(
    "`trunk_quantization='int4'`", "trunk_quantization must be", "'int8'", "got 'int4'", trunk_quantization="int4"
)


@wrong("Backbone", "`trunk_quantization='int8'` without torchao", "needs torchao", "pip install 'torchao>=0.18'")
def _(folder: Path) -> None:
    with mock.patch.dict(sys.modules, {"torchao": None}):
        backbone(trunk_quantization="int8")


case_of_backbone("`model_name='resnet18'`: no ViT", "'resnet18'", "Vision", model_name="resnet18", timm_kwargs=dict())
case_of_backbone(
    "`model_name='vit_hug_patch16'`: no such model",
    "'vit_hug_patch16'",
    "timm.list_models",
    model_name="vit_hug_patch16",
)


@wrong("Backbone", "`MetricLossHook` in a config whose backbone has no guidance", "MetricLossHook needs one backbone")
def _(folder: Path) -> None:
    from davpt_seg.engine.guided import guided_backbone

    guided_backbone(backbone(prompts=PROMPTS), "MetricLossHook")


# --- Weights ----------------------------------------------------------------------------------------------------------


def case_of_weights(does: str, name: str, write: Callable[[Path], None], *says: str) -> None:
    """Add a case of a wrong weights file; a loader's message ends with the name of the file."""

    def act(folder: Path) -> None:
        write(folder / name)
        PromptedViT("vit_tiny_patch16_224", weights=str(folder / name), timm_kwargs=_of_width(32))

    wrong("Weights", does, name, *says)(act)


def _of_width(width: int) -> dict[str, Any]:
    return dict(img_size=32, patch_size=8, embed_dim=width, depth=2, num_heads=2)


def _complete_state(width: int = 32) -> dict[str, torch.Tensor]:
    return PromptedViT("vit_tiny_patch16_224", timm_kwargs=_of_width(width)).trunk.state_dict()


def _save_cut_off(path: Path) -> None:
    torch.save(_complete_state(), path)
    path.write_bytes(path.read_bytes()[:5000])


case_of_weights("a weights file that is not there", "nowhere.safetensors", lambda path: None, "does not exist")
case_of_weights(
    "weights of a ViT of another width",
    "wide.pth",
    lambda path: torch.save(_complete_state(width=64), path),
    "blocks.0.attn.qkv.weight",
    "(96, 32)",
)
case_of_weights("a weights file that is cut off", "cut_off.pth", _save_cut_off)
case_of_weights("a text file", "notes.txt", lambda path: path.write_text("vit") and None)
case_of_weights("a safetensors file that is none", "page.safetensors", lambda path: path.write_text("<html>") and None)


# --- Data -------------------------------------------------------------------------------------------------------------


def train(config: str, *options: str) -> None:
    """Run tools/train.py in this process until its error."""
    main_train(
        [config, "--dry-run", "--work-dir", tempfile.mkdtemp(), *(["--cfg-options", *options] if options else [])]
    )


def camvid_at(folder: Path) -> list[str]:
    """Return the options that set the folder of the CamVid configs."""
    return [f"{split}_dataloader.dataset.data_root={folder}" for split in ("train", "val", "test")]


def training_set(folder: Path) -> Any:
    """Build the training set of a tiny CamVid."""
    from mmseg.registry import DATASETS

    cfg = Config.fromfile(ROOT / CAMVID).train_dataloader.dataset
    init_default_scope("mmseg")
    return DATASETS.build(dict(cfg, data_root=str(folder)))


@wrong("Data", "a `data_root` that does not exist", "images/train' does not exist", "check data_root", "--cfg-options")
def _(folder: Path) -> None:
    train(CAMVID, *camvid_at(folder / "nowhere"))


@wrong("Data", "`ADE20K_ROOT` with a wrong folder", "images/training' does not exist", "docs/data.md")
def _(folder: Path) -> None:
    with mock.patch.dict(os.environ, ADE20K_ROOT=str(folder)):
        train(ADE20K)


@wrong("Data", "`PASCAL_CONTEXT_ROOT` with a wrong folder (mmseg only asserts)", "does not exist", "check data_root")
def _(folder: Path) -> None:
    with mock.patch.dict(os.environ, PASCAL_CONTEXT_ROOT=str(folder / "VOC2010")):
        train(PASCAL_CONTEXT)


@wrong("Data", "VOC2010 before the masks are converted", "SegmentationClassContext' does not exist")
def _(folder: Path) -> None:
    write_voc(folder / "VOC2010")
    with mock.patch.dict(os.environ, PASCAL_CONTEXT_ROOT=str(folder / "VOC2010")):
        train(PASCAL_CONTEXT)


@wrong("Data", "a list of images that is missing", "val.txt' does not exist")
def _(folder: Path) -> None:
    root = write_pascal_context(folder / "VOC2010")
    (root / "ImageSets" / "SegmentationContext" / "val.txt").unlink()
    with mock.patch.dict(os.environ, PASCAL_CONTEXT_ROOT=str(root)):
        train(PASCAL_CONTEXT)


@wrong("Data", "a folder without images", "no *.jpg in")
def _(folder: Path) -> None:
    for path in (write_camvid(folder) / "images" / "train").iterdir():
        path.unlink()
    train(CAMVID, *camvid_at(folder))


@wrong("Data", "an image file that is no image (met in training)", "failed to load image", "0003.jpg")
def _(folder: Path) -> None:
    (write_camvid(folder) / "images" / "train" / "0003.jpg").write_text("<html>Not found</html>")
    training_set(folder)[3]


@wrong("Data", "a mask file that is no image (met in training)", "0003.png' cannot be read: it is a web page")
def _(folder: Path) -> None:
    (write_camvid(folder) / "annotations" / "train" / "0003.png").write_text("<html>Not found</html>")
    with advise_check("CONFIG"):  # as tools/train.py does
        training_set(folder)[3]


@wrong("Data", "a mask with a class that the data set does not have", "0003.png' holds label 11, but", "11 classes")
def _(folder: Path) -> None:
    mask = write_camvid(folder) / "annotations" / "train" / "0003.png"
    Image.fromarray(np.full((48, 64), 11, np.uint8)).save(mask)
    training_set(folder)[3]


@wrong("Data", "a mask painted in colours", "0003.png'", "is a colour image")
def _(folder: Path) -> None:
    mask = write_camvid(folder) / "annotations" / "train" / "0003.png"
    Image.open(mask).convert("RGB").save(mask)
    training_set(folder)[3]


@wrong("Data", "masks of 16 bits with mmseg's `LoadAnnotations`", "0003.png' has 16 bits", "LoadLabelMap")
def _(folder: Path) -> None:
    write_camvid(folder)
    mask = folder / "annotations" / "train" / "0003.png"
    Image.fromarray(np.array(Image.open(mask)).astype(np.uint16) + 256).save(mask)
    cfg = tiny_camvid(folder, folder / "work")
    cfg.train_dataloader.dataset.pipeline[1] = dict(type="LoadAnnotations")
    cfg.dump(folder / "config.py")
    train(str(folder / "config.py"), f"work_dir={folder}")


@wrong("Data", "images of 16 bits", "0003.png' has 16 bits a channel", "become almost black", "ToEightBit")
def _(folder: Path) -> None:
    write_camvid(folder)
    for image in sorted((folder / "images" / "train").iterdir()):
        Image.open(image).convert("L").save(image.with_suffix(".png"))
    deep = folder / "images" / "train" / "0003.png"
    Image.fromarray(np.array(Image.open(deep)).astype(np.uint16) * 16).save(deep)
    train(CAMVID, *camvid_at(folder), "train_dataloader.dataset.img_suffix=.png")


@wrong("Data", "300 classes whose void is 255", "300 classes: every part", "decode_head.ignore_index=255", "data.md")
def _(folder: Path) -> None:
    write_camvid(folder)
    train(CAMVID, *camvid_at(folder), "model.decode_head.num_classes=300")


@wrong("Data", "a training pipeline without a step that loads masks", "'0003.jpg' has none of them", "load annotations")
def _(folder: Path) -> None:
    from mmseg.structures import SegDataSample

    from davpt_seg.core.guidance.targets import Labelling
    from davpt_seg.engine.batch_labels import batch_labels

    batch_labels(torch.zeros(1, 3, 8, 8), [SegDataSample(metainfo=dict(img_path="0003.jpg"))], Labelling((8, 8), 3))


@wrong("Data", "label maps of another size than the images, in plain PyTorch", "same height and width")
def _(folder: Path) -> None:
    model = backbone(prompts=PROMPTS, guidance=dict(num_classes=3, blocks=[1]))
    model(torch.zeros(1, 3, 32, 32))
    model.guidance(model.take_records(), torch.zeros(1, 40, 32, dtype=torch.long))


@wrong("Data", "`check_dataset.py` on a folder with a truncated image", "unreadable file", "0003.jpg")
def _(folder: Path) -> str:
    image = write_camvid(folder) / "images" / "train" / "0003.jpg"
    image.write_bytes(image.read_bytes()[:-200])
    return check(CAMVID, "--cfg-options", *camvid_at(folder))


@wrong("Data", "`check_dataset.py` on half of ADE20K", "4 images, published 20,210", "unpack the archive again")
def _(folder: Path) -> str:
    return check("--ade20k", str(write_ade20k(folder)))


def check(*arguments: str) -> str:
    """Run tools/check_dataset.py in this process and return its first problem."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main_check_dataset([*arguments, "--workers=1", "--no-classes"]) == 1
    (text,) = re.findall(r"PROBLEM .*?->[^\n]*", printed.getvalue(), flags=re.S)[:1]
    return text


# --- Recognition data -------------------------------------------------------------------------------------------------


def open_task(root: Path, **options: Any) -> None:
    """Build the training set of a small EuroSAT in VTAB's layout."""
    config = dict(type="VTABDataset", data_root=str(write_vtab(root, "eurosat")), dataset="eurosat", split="train800")
    DATASETS.build({**config, **options})


@wrong(
    "Words, lists and converters",
    "a task that VTAB-1k does not have",
    "'cifar100' is not known",
    "did you mean 'cifar'",
)
def _(folder: Path) -> None:
    open_task(folder, dataset="cifar100")


@wrong(
    "Words, lists and converters",
    "`VTAB_ROOT` with a wrong folder",
    "folder 'nowhere/eurosat' does not exist",
    "vtab1k.py",
)
def _(folder: Path) -> None:
    open_task(folder, data_root="nowhere")


@wrong("Words, lists and converters", "a split of another benchmark", "split: 'train' is not known", "train800val200")
def _(folder: Path) -> None:
    open_task(folder, split="train")


@wrong(
    "Words, lists and converters", "a list with a label that is no class", "train800.txt, line 1: expected", "0 to 9"
)
def _(folder: Path) -> None:
    write_vtab(folder / "mine", "eurosat")
    (folder / "mine" / "eurosat" / "train800.txt").write_text("images/train800/000000.jpg 10\n")
    DATASETS.build(dict(type="VTABDataset", data_root=str(folder / "mine"), dataset="eurosat"))


@wrong(
    "Words, lists and converters",
    "an FGVC set without its `val.json`",
    "val.json' does not exist",
    "has test.json, train.json",
)
def _(folder: Path) -> None:
    (write_fgvc(folder, "dogs") / "val.json").unlink()
    DATASETS.build(dict(type="FGVCDataset", data_root=str(folder), dataset="dogs", split="trainval"))


@wrong(
    "Words, lists and converters",
    "an FGVC set in the folder of another",
    "cub has 200 classes, but the lists",
    "name 120",
)
def _(folder: Path) -> None:
    DATASETS.build(dict(type="FGVCDataset", data_root=str(write_fgvc(folder, "dogs")), dataset="cub"))


@wrong(
    "Words, lists and converters", "FGVC's lists without the images", "none of the 120 listed images exists", "Unpack"
)
def _(folder: Path) -> None:
    (write_fgvc(folder, "dogs") / "Images").rename(folder / "unpacked")
    DATASETS.build(dict(type="FGVCDataset", data_root=str(folder), dataset="dogs"))


@wrong(
    "Words, lists and converters",
    "a batch size changed in the loader alone",
    "batch_size is 16, but",
    "sampler.batch_size=16",
)
def _(folder: Path) -> None:
    train("method=davpt,trunk=vits14,data=vtab/dtd", "train_dataloader.batch_size=16")


@wrong(
    "Words, lists and converters",
    "`check_dataset.py --vtab` on one task's folder",
    "is the folder of one task: give FOLDER",
)
def _(folder: Path) -> None:
    check("--vtab", str(write_vtab(folder, "eurosat") / "eurosat"))


@wrong(
    "Words, lists and converters",
    "`check_dataset.py` on a test list with a training image",
    "image in two splits",
    "take it out",
)
def _(folder: Path) -> str:
    task = write_vtab(folder, "mine", train=4) / "mine"
    (task / "test.txt").write_text("images/train800/000000.jpg 0\n")
    return check("--vtab", str(folder), "mine")


# --- PASCAL Context converter -----------------------------------------------------------------------------------------


def convert(*arguments: Any) -> None:
    """Run tools/dataset_converters/pascal_context.py in this process."""
    path = ROOT / "tools" / "dataset_converters" / "pascal_context.py"
    spec = importlib.util.spec_from_file_location("pascal_context_script", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main([str(argument) for argument in arguments])


@wrong("Words, lists and converters", "`labels.txt` is missing", "labels.txt", "--labels")
def _(folder: Path) -> None:
    mats = write_mats(folder / "release", label_maps())
    (mats / "labels.txt").unlink()
    convert(write_voc(folder / "VOC2010"), "--mat", mats)


@wrong("Words, lists and converters", "`59_labels.txt` given as `labels.txt`", "ends at number 59", "59_labels.txt")
def _(folder: Path) -> None:
    mats = write_mats(folder / "release", label_maps())
    lines = [f"{number}: {name}\n" for number, name in enumerate(CLASS_IDS, start=1)]
    (mats / "labels.txt").write_text("".join(lines))
    convert(write_voc(folder / "VOC2010"), "--mat", mats)


@wrong("Words, lists and converters", "a `.mat` file is missing", "1 annotations are missing", "2008_000007.mat")
def _(folder: Path) -> None:
    mats = write_mats(folder / "release", label_maps())
    (mats / "trainval" / "2008_000007.mat").unlink()
    convert(write_voc(folder / "VOC2010"), "--mat", mats)


@wrong("Words, lists and converters", "images that were resized", "its annotation 44 x 30", "unchanged?")
def _(folder: Path) -> None:
    mats = write_mats(folder / "release", label_maps())
    convert(write_voc(folder / "VOC2010", size=(60, 88)), "--mat", mats, "--workers", 1)


@wrong("Words, lists and converters", "another JSON file", "is not a complete trainval_merged.json")
def _(folder: Path) -> None:
    (folder / "instances.json").write_text(json.dumps({"images": [], "annotations": []}))
    convert(write_voc(folder / "VOC2010"), "--json", folder / "instances.json")


@wrong("Words, lists and converters", "converting the second release over the first", "holds masks from", "--force")
def _(folder: Path) -> None:
    voc = write_voc(folder / "VOC2010")
    convert(voc, "--mat", write_mats(folder / "release", label_maps()))
    convert(voc, "--json", write_json(folder / "trainval_merged.json", label_maps()))


# --- Command line -----------------------------------------------------------------------------------------------------


@wrong(
    "Command line",
    "a config that does not exist",
    "'configs/davpt/upernet_vit-h.py' does not exist",
    "davpt-seg configs",
)
def _(folder: Path) -> None:
    train("configs/davpt/upernet_vit-h.py")


def case_of_option(does: str, option: str, *says: str) -> None:
    """Add a case of a wrong --cfg-options."""
    wrong("Command line", does, *says)(lambda folder: train(CAMVID, option))


case_of_option("a misspelled section", "trian_cfg.max_epochs=5", "has no 'trian_cfg'", "'train_cfg'")
case_of_option("an option that nothing reads", "learning_rate=0.1", "the config has no 'learning_rate'")
case_of_option(
    "`data_root`, a variable that the config has used up",
    "data_root=/data/camvid",
    "data_root is a variable of the config file",
    "train_dataloader.dataset.data_root",
)
case_of_option("an entry that a list does not have", "train_dataloader.dataset.pipeline.9.prob=0", "entries 0 to 5")
case_of_option("an option below a number", "train_dataloader.batch_size.x=4", "train_dataloader.batch_size is 8")


@wrong("Command line", "`test.py` with another config's checkpoint", "is not of", "missing keys")
def _(folder: Path) -> None:
    data = write_camvid(folder / "camvid")
    cfg = tiny_camvid(data, folder / "work")
    cfg.dump(folder / "mine.py")
    torch.save({"state_dict": {"backbone.trunk.cls_token": torch.zeros(1, 1, 32)}}, folder / "epoch_1.pth")
    main_test([str(folder / "mine.py"), str(folder / "epoch_1.pth"), "--work-dir", str(folder / "test")])


@wrong("Command line", "`test.py --tta` with a config without `tta_pipeline`", "needs tta_pipeline")
def _(folder: Path) -> None:
    checkpoint = folder / "epoch_1.pth"
    checkpoint.touch()
    main_test(["configs/demo/davpt_upernet_vits14_scenes.py", str(checkpoint), "--tta"])


@wrong("Command line", "`train.py --amp` with a custom wrapper", "--amp replaces", "'MyOptimWrapper'")
def _(folder: Path) -> None:
    main_train([CAMVID, "--amp", "--cfg-options", "optim_wrapper.type=MyOptimWrapper"])


@wrong("Command line", "`--launcher torchrun`", "invalid choice: 'torchrun'")
def _(folder: Path) -> None:
    main_train([CAMVID, "--launcher", "torchrun"])


# --- Environment ------------------------------------------------------------------------------------------------------


@wrong("Environment", "OpenMMLab's packages and their onedl fork installed together", "installed side by side")
def _(folder: Path) -> None:
    with mock.patch.object(compat, "_installed", return_value=True):
        compat.check_stack()


@wrong("Environment", "MMEngine not installed (a warning: `davpt_seg.core` works)", "only davpt_seg.core is usable")
def _(folder: Path) -> str:
    with warnings.catch_warnings(record=True) as caught, mock.patch.dict(sys.modules, mmengine=None):
        warnings.simplefilter("always")
        registration.register_beside_openmmlab()
    return str(caught[-1].message)


@wrong("Environment", "a model that needs a compiled op of full mmcv", "compiled op 'softnms'", "install full mmcv")
def _(folder: Path) -> None:
    stub.UncompiledOps("mmcv._ext").softnms()
