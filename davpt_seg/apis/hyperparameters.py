"""Reads the table of hyper-parameters for recognition, ``configs/_base_/hyperparameters.csv``."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, fields, replace
from typing import Any, Optional, get_type_hints

from ..errors import InputError
from ..packaged_configs import config_root

# Letters of the column "tuned", DA-VPT's released configs: the trunk's parameters that DA-VPT+ trains.
TUNED = {
    "K": ("blocks.*.attn.key_bias",),
    "V": ("blocks.*.attn.value_bias",),
    "P": ("blocks.*.attn.proj.bias",),
    "F": ("blocks.*.mlp.fc2.bias",),
    "n": ("blocks.*.norm2.bias",),
    "N": ("blocks.*.norm1.weight", "blocks.*.norm1.bias"),
    "C": ("cls_token",),
}
ROWS_OF = {"davpt_plus": "davpt", "davpt_release": "davpt", "guidance": "davpt"}  # methods that read another's rows
TUNED_ON = {"vitb_in21k": "vitb_augreg_in21k"}  # trunks without rows, and the one whose rows are nearest
# Methods that only join others, and the values that they bring.
JOINING: dict[str, tuple[str, ...]] = {
    "guidance": ("guided_prompts", "guided_blocks", "patch_weight", "cls_weight", "prompt_scale", "kmeans_from_epoch"),
    "carried": (),
    "zero_start": (),
    "prototypes": (),
}
SIZES = (
    *JOINING["guidance"],
    "prompts",
    "prompt_norm",
    "init_divide_by_8",
    "tuned",
    "key_value_prompts",
    "rank",
    "width",
)  # what any method brings
COUNTS = ("key_value_prompts", "rank", "width", "kmeans_from_epoch", "samples_per_class")
ALL_HAVE = ("head_lr", "samples_per_class")  # where a row is silent, too
DIGITS = 12  # of an integer; no training has as many steps
BOOLEANS = {"True": True, "False": False}


@dataclass(frozen=True)
class Hyperparameters:
    """A row of the table; None where a method has no such value.

    Attributes:
        lr: learning rate.
        head_lr: of the head, if it has another.
        weight_decay: of the backbone's part.
        head_weight_decay: of the head.
        prompts: in each block that is not guided.
        guided_prompts: in each guided block.
        guided_blocks: counted from 0, the first and the last: ``9-11``; or the only one.
        patch_weight: beta.
        cls_weight: lambda.
        prompt_scale: see :func:`~davpt_seg.core.losses.proxy_anchor`.
        tuned: letters (``TUNED``) of what DA-VPT+ trains.
        key_value_prompts: of E2VPT, in each head of every block.
        rank: of LoRA.
        width: of the bottleneck of Adapter and AdaptFormer.
        drop_path: rate.
        batch_size: images in a batch.
        prompt_norm: see :class:`~davpt_seg.core.prompts.Prompts`.
        init_divide_by_8: whether the released initial prompts are divided by 8; None where they are not used.
        warmup_epochs: of 100; other numbers of epochs have the same share.
        kmeans_from_epoch: first epoch, of 100, at whose end classes are clustered again.
        samples_per_class: images of each class in a batch.
        source: ``released`` by the authors of DA-VPT, or ``ours``.
        note: what is to be known about it.
    """

    lr: float
    head_lr: Optional[float]
    weight_decay: float
    head_weight_decay: float
    prompts: Optional[int]
    guided_prompts: Optional[int]
    guided_blocks: Optional[str]
    patch_weight: Optional[float]
    cls_weight: Optional[float]
    prompt_scale: Optional[float]
    tuned: Optional[str]
    key_value_prompts: Optional[int]
    rank: Optional[int]
    width: Optional[int]
    drop_path: float
    batch_size: int
    prompt_norm: Optional[str]
    init_divide_by_8: Optional[bool]
    warmup_epochs: Optional[int]
    kmeans_from_epoch: Optional[int]
    samples_per_class: Optional[int]
    source: str
    note: Optional[str]

    @property
    def blocks(self) -> tuple[int, ...]:
        """The guided blocks, one by one."""
        if self.guided_blocks is None:
            return ()
        first, _, last = self.guided_blocks.partition("-")
        return tuple(range(int(first), int(last or first) + 1))

    def tuned_names(self) -> list[str]:
        """Return the trunk's parameters that the letters stand for."""
        return [name for letter in self.tuned or "" for name in TUNED[letter]]

    def words(self) -> tuple[str, ...]:
        """Name the values that this method has and that may be given instead of the table's."""
        fixed = ("guided_blocks", "tuned", "prompt_norm", "init_divide_by_8", "warmup_epochs", "source", "note")
        own = (f.name for f in fields(self) if f.name in ALL_HAVE or getattr(self, f.name) is not None)
        return tuple(name for name in own if name not in fixed)

    def changed(self, values: dict[str, str]) -> Hyperparameters:
        """Replace values by others, given as text.

        Raises:
            InputError: text that is no number, or one that the value can't have.
        """
        changed = replace(self, **{name: _parse(name, text) for name, text in values.items()})
        for name, fits, expected in (
            ("lr", changed.lr > 0, "above 0"),
            ("batch_size", changed.batch_size > 0, "of at least 1"),
            *((name, getattr(changed, name) != 0, "of at least 1") for name in COUNTS),
            ("drop_path", changed.drop_path < 1, "below 1"),
        ):
            if not fits:
                raise InputError(f"{name}={values[name]}: a number {expected} was expected")
        return changed


def hyperparameters(method: str, trunk: str, task: str) -> Hyperparameters:
    """Look up a method's values; a row for the task takes precedence over one for all tasks (``*``), as do trunks'.

    The rows of DA-VPT are as released. ``davpt_release`` takes them so; the other methods that read them are guided
    where the release is not: weights of 0/0 become 0.01/0.01, a scale of 0 becomes 5.

    Of methods joined by ``+`` (``lora+guidance``) the first that can stand alone sets the rate and whatever else it
    has; the others bring what it has not.

    Raises:
        InputError: the table has no row that fits.
    """
    names = sorted(method.split("+"), key=JOINING.__contains__)
    if names[0] in JOINING:
        raise InputError(
            f"method {method!r} has no rate of its own: join it to another, lora+guidance, vpt_deep+carried"
        )
    row = _row(names[0], trunk, task)
    for name in names[1:]:
        brought = JOINING.get(name, SIZES)
        if brought:
            other = _row(name, trunk, task)
            row = replace(row, **{key: getattr(other, key) for key in brought if getattr(row, key) is None})
    return row


def _row(method: str, trunk: str, task: str) -> Hyperparameters:
    found = _row_of(ROWS_OF.get(method, method), trunk, task)
    if found.prompt_scale == 0:  # the cosines are multiplied by it, so that nothing has a gradient
        if method == "davpt_release":
            return replace(found, patch_weight=0.0, cls_weight=0.0, prompt_scale=1.0)
        found = replace(found, prompt_scale=5.0)
    if method != "davpt_release" and found.patch_weight == found.cls_weight == 0:
        found = replace(found, patch_weight=0.01, cls_weight=0.01)
    return found


def _row_of(method: str, trunk: str, task: str) -> Hyperparameters:
    path = config_root() / "_base_" / "hyperparameters.csv"
    with open(path, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == method]
    trunks = (trunk, *([TUNED_ON[trunk]] if trunk in TUNED_ON else []), "*")
    for wanted in ((each, which) for each in trunks for which in (task, "*")):
        for row in rows:
            if (row["trunk"], row["task"]) == wanted:
                names = [f.name for f in fields(Hyperparameters)]
                return Hyperparameters(**{name: _parse(name, row[name]) for name in names})
    raise InputError(
        f"hyperparameters.csv has no row for method {method!r}, trunk {trunk!r} and task {task!r}; add one to {path}"
    )


def _parse(name: str, text: str) -> Any:
    if not text:
        return None
    kind = get_type_hints(Hyperparameters)[name]
    if kind in (str, Optional[str]):
        return text
    if kind == Optional[bool]:
        if text not in BOOLEANS:
            raise InputError(f"{name}={text[:100]}: True or False was expected")
        return BOOLEANS[text]
    number = int if kind in (int, Optional[int]) else float
    try:
        value = number(text) if number is float or len(text) <= DIGITS else -1
    except ValueError:
        value = -1
    if not 0 <= value < math.inf:
        raise InputError(
            f"{name}={text[:100]}: a{'n integer' if number is int else ' number'} of at least 0 was expected"
        )
    return value
