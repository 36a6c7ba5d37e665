"""Words of an experiment: one table, from which parsing, help, plans of the benchmark and docs are derived.

It is plain data: reading it needs neither torch nor MMEngine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

SEGMENTATION, CLASSIFICATION, DETECTION = TASKS = ("segmentation", "classification", "detection")
EXAMPLES = {
    SEGMENTATION: "method=vpt_deep,head=setr_pup,trunk=vitb,data=pascal_context_59,schedule=mmseg_160k",
    CLASSIFICATION: "method=davpt_plus,trunk=vitb_mae,data=vtab/dtd,split=final,lr=1e-3,epochs=50",
    DETECTION: "method=davpt+zero_start,head=mask_rcnn,trunk=vitb,data=coco",
}
S, C, D, SD = (SEGMENTATION,), (CLASSIFICATION,), (DETECTION,), (SEGMENTATION, DETECTION)
ROW = "the row's"  # in hyperparameters.csv
OWN = "the method's"  # in its file


@dataclass(frozen=True)
class Word:
    """Word of an experiment.

    Attributes:
        name: name of the word, such as ``lr``.
        tasks: tasks that have it; a name has a second entry if it means something else in the other task.
        meaning: one line with the unit, for help and docs.
        sets: function that puts the value into the config.
        default: value for parts and splits; a description for other words.
        kind: type of the value.
        least: smallest value.
        below: upper bound, excluded.
        above: whether ``least`` itself is excluded.
        choices: valid names; empty for any.
        of: feature of the method or schedule that the word needs, see
            :func:`~davpt_seg.experiments.methods.brought`; empty for none.
        part: whether it names a file of ``configs/_base_``.
        by_runner: whether the benchmark sets it for each run, so that plans must not.
    """

    name: str
    tasks: tuple[str, ...]
    meaning: str
    sets: str
    default: str
    kind: type = float
    least: float = 0
    below: float = math.inf
    above: bool = False
    choices: tuple[str, ...] = ()
    of: str = ""
    part: bool = False
    by_runner: bool = False

    @property
    def values(self) -> str:
        """Describe the valid values: ``an integer of at least 1``."""
        if self.kind is str:
            return " or ".join(self.choices) or "a name"
        kind = "an integer" if self.kind is int else "a number"
        least = "above" if self.above else "of at least"
        return f"{kind} {least} {self.least:g}" + (f" and below {self.below:g}" if self.below < math.inf else "")


def part(name: str, tasks: tuple[str, ...], meaning: str, default: str, runner: bool = False, *choices: str) -> Word:
    """Return a word that names a file of ``configs/_base_``."""
    sets = "merged_parts()"
    return Word(name, tasks, meaning, sets, default, str, part=True, by_runner=runner, choices=choices)


def count(
    name: str,
    tasks: tuple[str, ...],
    meaning: str,
    sets: str,
    default: str,
    least: int = 1,
    of: str = "",
    runner: bool = False,
) -> Word:
    """Return a word whose value is an integer."""
    return Word(name, tasks, meaning, sets, default, int, least, of=of, by_runner=runner)


SPLITS = ("choose", "final")
SHARES = ("prompt_share", "segment_share")
PRUNING = (*SHARES, "rank_by")  # words that need ``importance``
WORDS = (
    part("method", TASKS, "what is trained in the ViT, or several methods joined by `+`", "davpt", True),
    part("head", S, "what reads the ViT; with the trunk, a file `HEAD_TRUNK.py`", "upernet"),
    part("head", C, "what reads the ViT: a linear classifier", "classifier", False, "classifier"),
    part("head", D, "what reads the ViT", "faster_rcnn", False,
         "faster_rcnn", "mask_rcnn", "fcos", "fcos_small", "dino"),
    part("trunk", S, "the ViT", "vitl", True),
    part("trunk", C, "the ViT", "vitb_augreg_in21k", True),
    part("trunk", D, "the ViT, one of segmentation", "vitb", True),
    part("data", S, "the data set; for your images `folder:PATH`, prepared by davpt-seg new-dataset", "ade20k", True),
    part("data", C, "the data set: `vtab/NAME`, `fgvc/NAME`; for your images `imagefolder:PATH`, one folder per class",
         "", True),
    part("data", D, "the data set; for your images `coco_folder:PATH`, a folder of images and COCO's JSON files", "",
         True),
    part("schedule", S, "optimizer, learning rates and length", "released_160k"),
    part("schedule", C,
         "`davpt_100e`: AdamW, batches of 16 classes x 2 images; `vpt_100e`: VPT's SGD, batches of 128, needs `lr`",
         "davpt_100e", False, "davpt_100e", "vpt_100e"),
    part("schedule", D, "optimizer, learning rates and length", "detection_12e"),
    Word("split", SD,
         "`choose`: train on a part of the training images, validate and test on the rest of them (a fifth, 1,000 at "
         "most, always the same). `final`: train on all, validate nowhere, test once, on the test set or, without one, "
         "on the validation set",
         "use_split()", "", str, choices=SPLITS, by_runner=True),
    Word("split", C,
         "`choose`: train on train800 and validate on val200, or on FGVC's train and val. `final`: train on both, test "
         "once", "use_split()", "choose", str, choices=SPLITS, by_runner=True),
    Word("lr", SD, "learning rate; the schedule's multipliers stay. With `head_lr`, it is the rate of the ViT",
         "use_rates()", "the schedule's", above=True),
    Word("lr", C, "learning rate", "use_optimizer()", ROW, above=True),
    Word("head_lr", SD, "learning rate of head and neck; needs `lr`", "use_rates()", "the schedule's"),
    Word("head_lr", C, "learning rate of the head", "use_optimizer()", f"{ROW}, or `lr`"),
    Word("weight_decay", SD, "weight decay", "use_rates()", "the schedule's"),
    Word("weight_decay", C, "weight decay in the ViT", "use_optimizer()", ROW),
    Word("head_weight_decay", C, "weight decay of the head", "use_optimizer()", ROW),
    count("iters", SD, "iterations; warm-up keeps its length, and validation is at the end", "use_length()",
          "the schedule's", of="max_iters"),
    count("epochs", SD, "passes over the training images, in place of `iters`, with about ten validations, at most one "
          "an epoch. Warm-up keeps its share: at least one epoch, and none if `epochs` is below five", "use_length()",
          "none"),
    count("epochs", C, "passes over the training images, with about ten validations, at most one an epoch; the "
          "cosine is stretched", "use_lengths()", "the schedule's"),
    count("warmup_epochs", C, "epochs of warm-up", "use_lengths()", f"{ROW} share of `epochs`, or a tenth", 0),
    count("batch_size", C, "images in a batch", "use_batches()", f"{ROW}, or the schedule's"),
    count("samples_per_class", C, "images of each class in a batch, where the schedule composes batches by class",
          "use_batches()", f"{ROW}, or 16 classes in a batch"),
    count("image_size", C,
          "side in pixels of the square, or of FGVC's crop (scaled to 8/7 of it first); a multiple of the patch; "
          "position embeddings are resampled", "use_image_size()", "224"),
    count("train_images", SD, "train on this number of the training images; validation and test stay",
          "use_subset()", "all"),
    count("subset_seed", SD, "seed that draws the `train_images`", "use_subset()", "0", 0, runner=True),
    count("prompts", TASKS, "prompts in each block that is not guided", "fit_values()", OWN, 0, of="prompts"),
    count("guided_prompts", TASKS, "prompts in each guided block, or proxies where it has no prompts", "fit_values()",
          OWN, of="guidance"),
    Word("patch_weight", TASKS, "weight of the metric loss of patches", "fit_values()", OWN, of="guidance"),
    Word("cls_weight", TASKS, "weight of the metric loss of the class token", "fit_values()", OWN, of="guidance"),
    Word("prompt_scale", TASKS, "factor on the cosines of the metric losses", "fit_values()", OWN, of="guidance"),
    count("kmeans_from_epoch", C, "first epoch, counted from 1, at whose end classes are clustered again",
          "use_lengths()", f"{ROW} share of `epochs`", of="guidance"),
    count("key_value_prompts", TASKS, "learned keys and values of E2VPT, in each head of every block", "fit_values()",
          OWN, of="key_value_prompts"),
    count("rank", TASKS, "rank of LoRA", "fit_values()", OWN, of="rank"),
    count("width", TASKS, "channels of the bottleneck of Adapter and AdaptFormer", "fit_values()", OWN, of="width"),
    Word("drop_path", C, "drop-path rate in the ViT", "use_method()", ROW, below=1),
    Word("importance", TASKS, "file of importances of the prompts, `.json`, by which the least important are removed",
         "use_shares()", "", str, by_runner=True),
    Word("prompt_share", TASKS, "share of the prompts to remove; needs `importance`", "use_shares()", "0", below=1),
    Word("segment_share", TASKS, "share of the segments to remove of each prompt that stays; needs `importance`",
         "use_shares()", "0", below=1),
    Word("rank_by", TASKS, "ranking of prompts: by masks on them (E2VPT), or by the sum over their segments",
         "use_shares()", "masks", str, choices=("masks", "segments")),
)  # fmt: skip
# Columns of hyperparameters.csv that are not words.
COLUMNS = (
    Word("guided_blocks", C, "guided blocks, counted from 0: first and last, or the only one", "use_method()", ROW,
         str),
    Word("tuned", C, "letters of what DA-VPT+ trains", "use_method()", ROW, str),
    Word("prompt_norm", C, "norm of the prompts", "use_prompts()", ROW, str),
    Word("init_divide_by_8", C, "whether the released initial prompts are divided by 8", "use_prompts()", ROW, str,
         choices=("True", "False")),
)  # fmt: skip
PARTS = tuple(dict.fromkeys(word.name for word in WORDS if word.part))
BY_RUNNER = tuple(dict.fromkeys(word.name for word in WORDS if word.by_runner))


def words_of(task: str) -> dict[str, Word]:
    """Return the words of a task, by name."""
    return {word.name: word for word in WORDS if task in word.tasks}


def markdown(task: str) -> str:
    """Return the table of a task's words for the docs; a test compares them."""
    lines = ["| word | meaning | value | default |", "|---|---|---|---|"]
    for word in (word for word in words_of(task).values() if not word.part):
        value = " or ".join(f"`{choice}`" for choice in word.choices) or word.values.partition(" ")[2]
        lines.append(f"| `{word.name}` | {word.meaning} | {value} | {word.default or 'none'} |")
    return "\n".join(lines)


def help_text() -> str:
    """Return the part of ``--help`` that lists all words."""
    lines = ["words of an experiment, WORD=VALUE,WORD=VALUE; a part may be a .py file anywhere, as ~/mine.py:"]
    for word in WORDS:
        where = "" if word.tasks == TASKS else f"{' and '.join(word.tasks)}: "
        default = f" [{word.default}]" if word.default else ""
        lines.append(f"  {word.name:<18}{where}{word.meaning}{default}".replace("`", ""))
    return "\n".join(lines)


def is_path(part: str) -> bool:
    """Return whether a part is the path of a file, not the name of one of ours."""
    return part.endswith(".py")
