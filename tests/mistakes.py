"""Mistakes of a new user: what is typed, and what the terminal answers. ``python -m tests.mistakes`` prints a table."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Callable, NamedTuple

from PIL import Image

from .typed import MINE, Shell, Shown, Terminal

MOST = 10  # lines printed by any command that ends with an error
#: The same, where a training or test has started, and its first screen is printed before.
MOST_STARTED = 40
CHECKPOINT = "work_dirs/mine/epoch_1.pth"
TRAIN = "davpt-seg train mine.py --cfg-options "
TEST = f"davpt-seg test mine.py {CHECKPOINT}"
MASK = "data/camvid/annotations/train/0003.png"
HOOK = """\
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class MyHook(Hook):
    def before_train(self, runner):
        {}["loss"]
"""
SILENT = HOOK.replace('{}["loss"]', "assert runner.epoch > 2")
TRANSFORM = """\
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

@TRANSFORMS.register_module()
class MyTransform(BaseTransform):
    def transform(self, results):
        return results["imag"]
"""


def importing(module: str, more: str = "") -> str:
    """Return a config on mine.py that imports a module."""
    imports = f'custom_imports = dict(imports=["{module}"], allow_failed_imports=False)\n'
    return f'_base_ = "mine.py"\n{imports}{more}'


class Mistake(NamedTuple):
    """A mistake.

    Attributes:
        does: what the user does.
        typed: the command line, in the folder of :class:`tests.typed.Terminal`.
        says: parts of the last line on stderr.
        status: exit status.
        files: texts of further files of the folder, by name.
        prepare: changes the folder.
        started: whether a training or test has started before the mistake is found.
    """

    does: str
    typed: str
    says: tuple[str, ...]
    status: int = 2
    files: Mapping[str, str] = {}
    prepare: Callable[[Path], object] = lambda folder: None
    started: bool = False


MISTAKES = [
    # --- commands and options
    Mistake("no command", "davpt-seg", ("a command is missing: train, test", "--help")),
    Mistake("no command of the module", "python -m davpt_seg", ("a command is missing: train, test", "--help")),
    Mistake("a misspelled command", "davpt-seg tarin mine.py", ("'tarin' is not a command", "did you mean 'train'?")),
    Mistake("a config in place of the command", "davpt-seg mine.py", ("'mine.py' is not a command", "train, test")),
    Mistake("train without config", "davpt-seg train", ("required: config", "--help")),
    Mistake("test without checkpoint", "davpt-seg test mine.py", ("required: checkpoint",)),
    Mistake("predict without anything", "davpt-seg predict", ("required: CONFIG, CHECKPOINT, IMAGE",)),
    Mistake("a script without anything", "python tools/train.py", ("train.py: error:", "required: config")),
    Mistake("--gpus", "davpt-seg train mine.py --gpus 2", ("--gpus", "tools/dist_train.sh CONFIG GPUS")),
    Mistake("--gpu-id", "davpt-seg train mine.py --gpu-id 0", ("--gpu-id", "CUDA_VISIBLE_DEVICES")),
    Mistake("--seed", "davpt-seg train mine.py --seed 0", ("--seed", "--cfg-options randomness.seed=N")),
    Mistake(
        "--load-from", f"davpt-seg train mine.py --load-from {CHECKPOINT}", ("--cfg-options load_from=CHECKPOINT",)
    ),
    Mistake("--batch-size", "davpt-seg train mine.py --batch_size=4", ("--cfg-options train_dataloader.batch_size=N",)),
    Mistake("--lr", "davpt-seg train mine.py --lr 0.1", ("--cfg-options optim_wrapper.optimizer.lr=RATE",)),
    Mistake("--workdir", "davpt-seg train mine.py --workdir x", ("did you mean '--work-dir'?",)),
    Mistake(
        "words separated by blanks",
        "davpt-seg train method=davpt trunk=vits data=camvid_168x224",
        ("trunk=vits data=camvid_168x224", "joined by commas, without blanks"),
    ),
    Mistake("a dash of a text editor", "davpt-seg train mine.py —dry-run", ("did you mean '--dry-run'?",)),
    Mistake(
        "CONFIG after --cfg-options",
        "davpt-seg train --cfg-options train_cfg.max_epochs=1 mine.py",
        ("files are given before --cfg-options",),
    ),
    Mistake(
        "a blank in place of =",
        f"{TRAIN}model.backbone.prompts.num_prompts 7",
        ("without a blank: model.backbone.prompts.num_prompts=7",),
    ),
    Mistake("blanks around =", f"{TRAIN}train_cfg.max_epochs = 7", ("without a blank: train_cfg.max_epochs=7",)),
    Mistake("--work-dir of an unset variable", 'davpt-seg train mine.py --work-dir "$RUNS"', ("--work-dir is empty",)),
    Mistake("--launcher mpi without mpirun", "davpt-seg train mine.py --launcher mpi", ("Open MPI's mpirun",)),
    Mistake(
        "a part of torchrun's variables",
        "RANK=0 davpt-seg train mine.py --launcher pytorch",
        ("is for torchrun", "tools/dist_train.sh CONFIG GPUS"),
    ),
    Mistake(
        "mmseg 0's samples_per_gpu",
        f"{TRAIN}data.samples_per_gpu=4",
        ("no 'data'; here it is train_dataloader.batch_size",),
    ),
    Mistake("mmseg 0's data", f"{TRAIN}data.train.data_root=/data", ("here it is train_dataloader.dataset.data_root",)),
    Mistake("mmseg 0's runner", f"{TRAIN}runner.max_iters=4", ("here it is train_cfg.max_epochs or",)),
    Mistake("mmseg 0's optimizer", f"{TRAIN}optimizer.lr=0.1", ("here it is optim_wrapper.optimizer.lr",)),
    Mistake("lr as a key", f"{TRAIN}lr=0.1", ("the config has no 'lr'; here it is optim_wrapper.optimizer.lr",)),
    Mistake("--cfg-options without value", f"{TRAIN}train_cfg.max_epochs", ("no KEY=VALUE", "batch_size=4")),
    Mistake(
        "a misspelled key",
        f"{TRAIN}model.backbone.promts.num_prompts=7",
        ("model.backbone has no 'promts'", "did you mean 'prompts'?"),
    ),
    Mistake(
        "--launcher without torchrun",
        "davpt-seg train mine.py --launcher pytorch",
        ("is for torchrun", "tools/dist_train.sh CONFIG GPUS"),
    ),
    # --- config
    Mistake(
        "a config that is not there", "davpt-seg train my.py", ("'my.py' does not exist", "did you mean 'mine.py'?")
    ),
    Mistake(
        "a misspelled name of a config",
        "davpt-seg train davpt/linear_vits14_camvd",
        ("does not exist", "did you mean 'davpt/linear_vits14_camvid'"),
    ),
    Mistake("a work dir as config", "davpt-seg train work_dirs/mine", ("is a folder", "work_dirs/mine/mine.py")),
    Mistake("data as config", "davpt-seg train data/camvid", ("'data/camvid' is a folder", "davpt-seg configs")),
    Mistake(
        "a checkpoint as config",
        f"davpt-seg train {CHECKPOINT}",
        ("is a checkpoint, and the config comes first", f"--resume {CHECKPOINT}", f"load_from={CHECKPOINT}"),
    ),
    Mistake("a misspelled method", "davpt-seg train method=davtp", ("no 'davtp'", "did you mean 'davpt'?")),
    Mistake(
        "a trunk of image classification",
        "davpt-seg train method=davpt,trunk=vitb_in21k",
        ("trunk=vitb_in21k is for image classification", "add data=vtab/NAME"),
    ),
    Mistake(
        "a bracket that is not closed",
        "davpt-seg train broken.py",
        ("'broken.py' cannot be read", "line 2"),
        files={"broken.py": '_base_ = "mine.py"\nmodel = dict(\n'},
    ),
    Mistake(
        "a config in YAML with a tab",
        "davpt-seg train mine.yml",
        ("config 'mine.yml' cannot be read", "line 2"),
        files={"mine.yml": "model:\n\ttype: EncoderDecoder\n"},
    ),
    Mistake(
        "a config in JSON that is cut off",
        "davpt-seg train mine.json",
        ("config 'mine.json' cannot be read", "line 1"),
        files={"mine.json": '{"model": ['},
    ),
    Mistake(
        "a config that ends Python",
        "davpt-seg train own.py",
        ("config 'own.py' cannot be read: SystemExit",),
        files={"own.py": '_base_ = "mine.py"\nexit()\n'},
    ),
    Mistake("a path of Windows", r"davpt-seg train 'C:\me\mine.py'", ("does not exist",)),
    Mistake(
        "a module that is not on the path",
        "davpt-seg train own.py",
        ("'own.py' cannot be read", "my_module", "PYTHONPATH"),
        files={"own.py": importing("my_module")},
    ),
    # --- model
    Mistake(
        "a misspelled ViT",
        f"{TRAIN}model.backbone.model_name=vit_smal_patch14_dinov2",
        ("model.backbone: model_name 'vit_smal_patch14_dinov2' is unknown", "did you mean 'vit_small_patch14_dinov2'"),
    ),
    Mistake("a model that is no ViT", f"{TRAIN}model.backbone.model_name=resnet50", ("'resnet50'", "another kind of")),
    Mistake(
        "a misspelled backbone",
        f"{TRAIN}model.backbone.type=PromptdViT",
        ("model.backbone.type: 'PromptdViT' is not registered", "did you mean 'PromptedViT'?"),
    ),
    Mistake(
        "a misspelled head",
        f"{TRAIN}model.decode_head.type=FCNHaed",
        ("model.decode_head.type: 'FCNHaed'", "did you mean 'FCNHead'?", "custom_imports"),
    ),
    Mistake(
        "a misspelled loss",
        f"{TRAIN}model.decode_head.loss_decode.type=CrossEntropyLos",
        ("model.decode_head.loss_decode.type", "did you mean 'CrossEntropyLoss'?"),
    ),
    Mistake(
        "a misspelled optimizer",
        f"{TRAIN}optim_wrapper.optimizer.type=Adamw",
        ("optim_wrapper.optimizer.type: 'Adamw'", "did you mean 'AdamW'?"),
    ),
    Mistake(
        "a misspelled hook",
        f"{TRAIN}custom_hooks.0.type=MetricLosHook",
        ("custom_hooks.0.type: 'MetricLosHook'", "did you mean 'MetricLossHook'?"),
    ),
    Mistake(
        "a misspelled argument of the backbone",
        "davpt-seg train own.py",
        ("model.backbone: ", "no argument 'promts'", "did you mean 'prompts'?"),
        files={"own.py": '_base_ = "mine.py"\nmodel = dict(backbone=dict(promts=dict(num_prompts=10)))\n'},
    ),
    Mistake(
        "blocks that the ViT does not have",
        f"{TRAIN}model.backbone.out_indices=[2,5,8,11]",
        ("model.backbone: out_indices [2, 5, 8, 11]", "0 to 1"),
    ),
    Mistake(
        "a head of another width",
        f"{TRAIN}model.decode_head.in_channels=64",
        ("model.decode_head.in_channels is 64", "model.decode_head.in_channels=32"),
    ),
    Mistake(
        "a head that reads a map that is not there",
        f"{TRAIN}model.decode_head.in_index=3",
        ("model.decode_head.in_index is 3", "model.backbone.out_indices=[1]"),
    ),
    Mistake(
        "a head of other classes",
        f"{TRAIN}model.decode_head.num_classes=5",
        ("11 classes, but model.decode_head.num_classes is 5", "model.decode_head.num_classes=11"),
    ),
    Mistake("a backbone as text", f"{TRAIN}model.backbone=vit", ("model.backbone must be a dict", "backbone.type")),
    Mistake(
        "an optimizer as text",
        f"{TRAIN}optim_wrapper.optimizer=AdamW",
        ("optim_wrapper.optimizer must be a dict, got 'AdamW'", "optim_wrapper.optimizer.type"),
    ),
    Mistake("0 epochs", f"{TRAIN}train_cfg.max_epochs=0", ("train_cfg.max_epochs must be", "at least 1, got 0")),
    Mistake("epochs as text", f"{TRAIN}train_cfg.max_epochs=ten", ("train_cfg.max_epochs must be", "'ten'")),
    Mistake("validation every 0 epochs", f"{TRAIN}train_cfg.val_interval=0", ("train_cfg.val_interval must be",)),
    Mistake("a seed as text", f"{TRAIN}randomness.seed=x", ("randomness.seed must be an integer", "'x'")),
    Mistake("a batch size as text", f"{TRAIN}train_dataloader.batch_size=eight", ("batch_size must be", "'eight'")),
    Mistake("a batch of nothing", f"{TRAIN}train_dataloader.batch_size=0", ("train_dataloader.batch_size must be",)),
    Mistake(
        "a batch of one with a pool to one pixel",
        "davpt-seg train trunk=vits14,data=camvid_168x224 --cfg-options train_dataloader.batch_size=1 "
        "model.backbone.weights=None",
        ("train_dataloader.batch_size is 1", "BatchNorm", "Set it to 2 or more"),
        started=True,
    ),
    Mistake(
        "weights that are not there",
        f"{TRAIN}model.backbone.weights=vit.pth",
        ("model.backbone.weights: file 'vit.pth' does not exist", "docs/weights.md"),
    ),
    Mistake(
        "weights of another ViT",
        f"{TRAIN}model.backbone.weights=vit.safetensors",
        ("vit.safetensors", "does not fit vit_small_patch14_dinov2", "file:  2 blocks, width 48"),
        started=True,
    ),
    Mistake(
        "an image as weights",
        f"{TRAIN}model.backbone.weights=photo.jpg",
        ("'photo.jpg' is an image, not weights",),
        started=True,
    ),
    # --- data
    Mistake(
        "a variable with a wrong folder",
        "CAMVID_ROOT=/nowhere davpt-seg train mine.py",
        ("/nowhere/images/train' does not exist", "CAMVID_ROOT"),
    ),
    Mistake(
        "a mask that is an empty file",
        "davpt-seg train mine.py",
        ("1 of 6 masks are empty files", "train/0003.png"),
        prepare=lambda folder: (folder / MASK).write_bytes(b""),
    ),
    Mistake(
        "a mask that is missing",
        "davpt-seg train mine.py",
        ("1 of 6 masks are missing", "train/0003.png"),
        prepare=lambda folder: (folder / MASK).unlink(),
    ),
    Mistake(
        "a mask in colours",
        "davpt-seg train mine.py",
        ("0003.png", "is a colour image"),
        prepare=lambda folder: Image.effect_noise((64, 48), 99).convert("RGB").save(folder / MASK),
    ),
    Mistake(
        "a mask of another size than its image",
        "davpt-seg train mine.py",
        ("0003.png", "(24, 32)", "(48, 64)"),
        prepare=lambda folder: Image.new("L", (32, 24)).save(folder / MASK),
        started=True,
    ),
    Mistake(
        "a mask with a class that is not there",
        "davpt-seg train mine.py",
        ("masks hold label 77", "0003.png", "classes are 0 to 10"),
        prepare=lambda folder: Image.new("L", (64, 48), 77).save(folder / MASK),
    ),
    Mistake(
        "an image that is cut off",
        f"davpt-seg predict {CHECKPOINT} photo.jpg",
        ("photo.jpg",),
        status=1,
        prepare=lambda folder: (folder / "photo.jpg").write_bytes((folder / "photo.jpg").read_bytes()[:300]),
    ),
    Mistake(
        "a checkpoint that is cut off",
        TEST,
        (CHECKPOINT, "cut off"),
        prepare=lambda folder: (folder / CHECKPOINT).write_bytes((folder / CHECKPOINT).read_bytes()[:5000]),
    ),
    Mistake(
        "a variable with a backslash",
        "CAMVID_ROOT='C:\\data\\new' davpt-seg train mine.py",
        ("CAMVID_ROOT", "does not exist"),
    ),
    Mistake(
        "a folder with a blank",
        f"{TRAIN}train_dataloader.dataset.data_root='/data/My Data'",
        ("/data/My Data", "does not exist"),
    ),
    Mistake(
        "CIFAR-10 without its data",
        "davpt-seg train data=vtab/cifar10_1k",
        ("does not exist", "VTAB_ROOT is not set", "tools/dataset_converters/cifar10_1k.py"),
    ),
    Mistake("VTAB without its data", "davpt-seg train data=vtab/dtd", ("does not exist", "VTAB_ROOT")),
    Mistake("a misspelled data set", "davpt-seg train data=vtab/dtdd", ("no 'vtab/dtdd'", "did you mean 'vtab/dtd'?")),
    Mistake("check-dataset without anything", "davpt-seg check-dataset", ("give a config, or one of --ade20k",)),
    Mistake("check-dataset with a folder", "davpt-seg check-dataset data/camvid", ("'data/camvid' is a folder",)),
    # --- checkpoints
    Mistake("a checkpoint that is not there", "davpt-seg test mine.py epoch_9.pth", ("'epoch_9.pth' does not exist",)),
    Mistake(
        "CHECKPOINT before CONFIG",
        f"davpt-seg test {CHECKPOINT} mine.py",
        ("is a checkpoint, and the config comes first: CONFIG CHECKPOINT",),
    ),
    Mistake(
        "a work dir as checkpoint",
        "davpt-seg test mine.py work_dirs/mine",
        ("is the folder of a training", f"such as {CHECKPOINT}"),
    ),
    Mistake("an image as checkpoint", "davpt-seg test mine.py photo.jpg", ("'photo.jpg' is an image, not weights",)),
    Mistake(
        "a checkpoint of other options",
        f"{TEST} --cfg-options model.backbone.prompts.num_prompts=7",
        ("is not of mine.py with these --cfg-options", "(20, 32) in the file, (7, 32) in the model"),
        started=True,
    ),
    Mistake("scores over an image", "davpt-seg train mine.py --test photo.jpg", ("'photo.jpg' is there already",)),
    Mistake(
        "scores of a test without masks",
        f"{TEST} --json scores.json --cfg-options test_evaluator.format_only=True",
        ("test_evaluator.format_only=True writes predictions", "output_dir=DIR"),
        started=True,
    ),
    Mistake("--resume with a config", "davpt-seg train mine.py --resume mine.py", ("--resume", "'mine.py' is a text")),
    Mistake("--resume with an image", "davpt-seg train mine.py --resume photo.jpg", ("--resume", "is an image")),
    Mistake(
        "--resume with weights",
        "davpt-seg train mine.py --resume vit.safetensors",
        ("--resume", "weights alone", "model.backbone.weights=vit.safetensors"),
    ),
    Mistake(
        "--resume with a folder",
        "davpt-seg train mine.py --resume work_dirs/mine",
        ("'work_dirs/mine' is a folder; its last checkpoint is ", CHECKPOINT),
    ),
    Mistake("--resume with no file", "davpt-seg train mine.py --resume epoch_9.pth", ("'epoch_9.pth' does not exist",)),
    Mistake(
        "--resume of another experiment",
        f"davpt-seg train mine.py --resume {CHECKPOINT} --cfg-options model.backbone.prompts.num_prompts=7",
        ("not of this experiment", "model.backbone.prompts.num_prompts: 20 -> 7", "--work-dir"),
        started=True,
    ),
    Mistake(
        "load_from that is not there", f"{TRAIN}load_from=epoch_9.pth", ("load_from", "'epoch_9.pth' does not exist")
    ),
    Mistake(
        "load_from with weights of a ViT",
        f"{TRAIN}load_from=vit.safetensors",
        ("load_from", "model.backbone.weights=vit.safetensors"),
    ),
    Mistake("weights as checkpoint", "davpt-seg test mine.py vit.safetensors", ("weights alone", "weights=vit")),
    Mistake(
        "a key and a file with a blank", f"{TRAIN}load_from {CHECKPOINT}", (f"without a blank: load_from={CHECKPOINT}",)
    ),
    # --- predict, export and others
    Mistake(
        "IMAGE before CHECKPOINT",
        f"davpt-seg predict photo.jpg {CHECKPOINT}",
        ("'photo.jpg' is an image, in the place of CHECKPOINT", f"{CHECKPOINT} photo.jpg"),
    ),
    Mistake("predict a work dir", "davpt-seg predict work_dirs/mine photo.jpg", ("folder of a training", CHECKPOINT)),
    Mistake("predict without image", f"davpt-seg predict {CHECKPOINT}", ("no IMAGE is given after",)),
    Mistake("an image that is not there", f"davpt-seg predict {CHECKPOINT} foto.jpg", ("'foto.jpg' does not exist",)),
    Mistake(
        "a text as image", f"davpt-seg predict {CHECKPOINT} mine.py", ("none of these files is an image", "mine.py")
    ),
    Mistake("an opacity in percent", f"davpt-seg predict {CHECKPOINT} photo.jpg --opacity 60", ("from 0", "to 1")),
    Mistake("an adapter folder without its ViT", "davpt-seg predict street photo.jpg", ("'street'", "--trunk FILE")),
    Mistake("export a work dir", "davpt-seg export work_dirs/mine --onnx m.onnx", ("folder of a training", CHECKPOINT)),
    Mistake("export to nothing", f"davpt-seg export {CHECKPOINT}", ("there is nothing to write", "--onnx FILE.onnx")),
    Mistake("export to another ending", f"davpt-seg export {CHECKPOINT} --onnx m.pt", ("must end in .onnx",)),
    Mistake("a misspelled plan", "davpt-seg benchmark vtba", ("'vtba' does not exist", "did you mean 'vtab'?")),
    Mistake(
        "prune a config without checkpoint",
        "davpt-seg prune mine.py",
        ("prune runs a cycle, and mine.py is a file", "Give words"),
    ),
    Mistake("prune a checkpoint", f"davpt-seg prune {CHECKPOINT}", ("epoch_1.pth is a file", "CONFIG CHECKPOINT")),
    Mistake("mapping of a file", "davpt-seg mapping mine.py", ("mine.py is no folder", "--work-dir of a training")),
    Mistake("a converter without anything", "python tools/dataset_converters/fgvc.py", ("required: dataset, root",)),
    Mistake(
        "a converter in a wrong folder", "python tools/dataset_converters/fgvc.py cub data", ("images.txt", "does not")
    ),
    Mistake(
        "convert weights that are not there",
        "python tools/model_converters/to_timm.py no.pth out.safetensors --model-name vit_small_patch14_dinov2",
        ("to_timm.py: error: ", "'no.pth' does not exist"),
    ),
    # --- several processes, and a user's code
    Mistake("dist_train.sh without GPUS", "tools/dist_train.sh mine.py", ("PYTHON (python)",)),
    Mistake("dist_train.sh GPUS CONFIG", "tools/dist_train.sh 2 mine.py", ("GPUS must be an integer", "'mine.py'")),
    Mistake(
        "a wrong head in two processes",
        "tools/dist_train.sh mine.py 2 --cfg-options model.decode_head.in_channels=64",
        ("train.py: error: model.decode_head.in_channels is 64",),
    ),
    Mistake(
        "a hook with a bug",
        "PYTHONPATH=$PYTHONPATH:. davpt-seg train own.py",
        ("unexpected KeyError: 'loss' (in your file", "my_hook.py:7)", "Traceback: ", ".log"),
        status=1,
        files={"my_hook.py": HOOK, "own.py": importing("my_hook", 'custom_hooks = [dict(type="MyHook")]\n')},
        started=True,
    ),
    Mistake(
        "an assertion without message",
        "PYTHONPATH=$PYTHONPATH:. davpt-seg train own.py",
        ("AssertionError: no message, at 'assert runner.epoch > 2' (in your file", "my_hook.py:7)"),
        status=1,
        files={"my_hook.py": SILENT, "own.py": importing("my_hook", 'custom_hooks = [dict(type="MyHook")]\n')},
        started=True,
    ),
    Mistake(
        "a transform with a bug, in a data worker",
        "PYTHONPATH=$PYTHONPATH:. davpt-seg train own.py --cfg-options train_dataloader.num_workers=1 "
        "train_dataloader.dataset.pipeline.0.type=MyTransform",
        ("unexpected KeyError: 'imag' (in your file", "my_transform.py:7)"),
        status=1,
        files={"my_transform.py": TRANSFORM, "own.py": importing("my_transform")},
        started=True,
    ),
    Mistake(
        "a rate that is far too high",
        f"{TRAIN}optim_wrapper.optimizer.lr=1e30",
        ("The training diverged", "optim_wrapper.optimizer.lr"),
        status=3,
        started=True,
    ),
]


def shown(mistake: Mistake, terminal: Shell) -> Shown:
    """Make a mistake, and return what the terminal shows."""
    folder = terminal.folder()
    for name, text in mistake.files.items():
        (folder / name).write_text(text)
    mistake.prepare(folder)
    return terminal.type(mistake.typed)


def rows() -> Iterator[str]:
    """Yield a Markdown table: mistake, lines printed, exit status, last paragraph."""
    from .forked import forked

    yield f"{len(MISTAKES)} mistakes; the folder of each has this `mine.py`:\n\n```python\n{MINE}```\n"
    yield "| mistake | typed | lines | status | last paragraph |\n|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "forked").mkdir()
        with forked(folder / "forked") as python:
            terminal = Terminal(python, folder)
            for mistake in MISTAKES:
                found = shown(mistake, terminal)
                paragraph = found.paragraph.replace(f"{folder}/user/", "").replace("|", "\\|")
                yield f"| {mistake.does} | `{mistake.typed}` | {found.lines} | {found.status} | {paragraph} |"


if __name__ == "__main__":
    for row in rows():
        print(row, flush=True)
    sys.exit(0)
