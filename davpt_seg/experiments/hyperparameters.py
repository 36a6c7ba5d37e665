"""Hyper-parameters of classification: the rows of ``configs/_base_/hyperparameters.csv``, and defaults without a row.

Data, trunks and methods without a row (a custom data set on a ViT-B, a method in a custom file) have defaults:

- A method with rows uses the most common value on the same trunk, or the first of equally common ones; on a trunk
  without rows, the most common value of all its rows. So DA-VPT's defaults are the most frequent choices of its
  authors: 73 rows, each searched for one task or filled in by the same rule. The guided block is the last one.
- Another method uses the most common rate, decays, drop-path and batch size of the rows for every trunk and task
  (``*``), and the sizes of its file.

They are a start for a search, and words take precedence.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .catalog import config_root
from .values import parse
from .words import CLASSIFICATION, COLUMNS, words_of

# Letters of the column "tuned", from DA-VPT's released configs: parameters of the trunk that DA-VPT+ trains.
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
# Methods that only join others, and the values that they have.
JOINING: dict[str, tuple[str, ...]] = {
    "guidance": ("guided_prompts", "guided_blocks", "patch_weight", "cls_weight", "prompt_scale", "kmeans_from_epoch"),
    "carried": (),
    "zero_start": (),
    "prototypes": (),
}
SIZES = (  # values of any other method
    *JOINING["guidance"],
    *("prompts", "prompt_norm", "init_divide_by_8", "tuned", "key_value_prompts", "rank", "width"),
)
# Values of all methods.
OF_ALL = ("lr", "head_lr", "weight_decay", "head_weight_decay", "drop_path", "batch_size")
PLUS = ("davpt_plus", "davpt_release")  # methods that train the parameters of the column "tuned"
COMMAND = "the command"
WHERE = ("method", "trunk", "task", "source", "note")


@dataclass(frozen=True)
class Hyperparameters:
    """Values of an experiment by word or column, None for a missing one; and the origin of each."""

    values: Mapping[str, Any]
    origins: Mapping[str, str]

    def __getitem__(self, name: str) -> Any:
        return self.values.get(name)

    def put(self, values: Mapping[str, Any], origin: str) -> Hyperparameters:
        """Return a copy with other values."""
        return Hyperparameters({**self.values, **values}, {**self.origins, **dict.fromkeys(values, origin)})

    def without(self, name: str) -> Hyperparameters:
        """Return a copy without a value."""
        kept = ({key: value for key, value in each.items() if key != name} for each in (self.values, self.origins))
        return Hyperparameters(*kept)

    def join(self, other: Hyperparameters, names: Iterable[str]) -> Hyperparameters:
        """Return a copy with another's values where this one has none."""
        joined = self
        for name in names:
            if self[name] is None and other[name] is not None:
                joined = joined.put({name: other[name]}, other.origins[name])
        return joined

    def typed(self, name: str) -> bool:
        """Return whether the command line sets the value."""
        return self.origins.get(name) == COMMAND

    @property
    def blocks(self) -> list[int]:
        """Return the guided blocks; -1 is the last."""
        text = self["guided_blocks"]
        if text is None:
            return []
        first, _, last = text.partition("-") if text[:1] != "-" else (text, "", "")
        return list(range(int(first), int(last or first) + 1))

    def tuned_names(self) -> list[str]:
        """Return the trunk's parameters that the letters mean."""
        return [name for letter in self["tuned"] or "" for name in TUNED[letter]]


def hyperparameters(method: str, trunk: str, task: str) -> Hyperparameters:
    """Look up a method's values; a row for the task or trunk takes precedence over one for all (``*``).

    The rows of DA-VPT are the released ones, which ``davpt_release`` uses unchanged. The other methods that read them
    are guided where the release is not: weights of 0/0 become 0.01/0.01, a scale of 0 becomes 5.

    For methods joined by ``+`` (``lora+guidance``), the first that has rows and can be used alone sets the rate and all
    its other values; the others add missing values.
    """
    table = _table()
    known = {row["method"] for row in table}
    names = sorted(method.split("+"), key=lambda name: (name in JOINING, ROWS_OF.get(name, name) not in known))
    found = _values(names[0], trunk, task, table)
    for name in names[1:]:
        brought = JOINING.get(name, SIZES)
        if brought:
            found = found.join(_values(name, trunk, task, table), brought)
    return found if set(PLUS) & set(names) else found.without("tuned")


def _table() -> list[dict[str, str]]:
    with open(config_root() / "_base_" / "hyperparameters.csv", newline="") as file:
        return list(csv.DictReader(file))


def _values(method: str, trunk: str, task: str, table: list[dict[str, str]]) -> Hyperparameters:
    rows = [row for row in table if row["method"] == ROWS_OF.get(method, method)]
    trunks = (trunk, *([TUNED_ON[trunk]] if trunk in TUNED_ON else []), "*")
    for place in ((each, which) for each in trunks for which in (task, "*")):
        for row in rows:
            if (row["trunk"], row["task"]) == place:
                return _guided(method, _read(row))
    return _defaults(method, trunks, rows, table)


def _read(row: Mapping[str, str]) -> Hyperparameters:
    words = {**words_of(CLASSIFICATION), **{word.name: word for word in COLUMNS}}
    values = {name: parse(words[name], text) for name, text in row.items() if name not in WHERE and text}
    place = ", ".join(row[name] for name in ("method", "trunk", "task"))
    return Hyperparameters({}, {}).put(values, f"{row['source']}, row of {place}")


def _guided(method: str, row: Hyperparameters) -> Hyperparameters:
    if row["prompt_scale"] == 0:  # it multiplies the cosines, so all gradients are zero
        if method == "davpt_release":
            return row.put(dict(patch_weight=0.0, cls_weight=0.0, prompt_scale=1.0), "released, a scale of 0")
        row = row.put(dict(prompt_scale=5.0), "ours, 0 is released")
    if method != "davpt_release" and row["patch_weight"] == row["cls_weight"] == 0:
        row = row.put(dict(patch_weight=0.01, cls_weight=0.01), "ours, 0 and 0 are released")
    return row


def _defaults(
    method: str, trunks: tuple[str, ...], rows: list[dict[str, str]], table: list[dict[str, str]]
) -> Hyperparameters:
    """Return the values of a method without row, as this module's docstring describes."""
    on_trunk = [row for row in rows if row["trunk"] in trunks]
    names: Iterable[str] = OF_ALL
    like, place = [row for row in table if row["trunk"] == row["task"] == "*"], "rows for every trunk"
    if rows:
        like, place = on_trunk or rows, f"rows of {rows[0]['method']}{f' on {trunks[0]}' if on_trunk else ''}"
        names = [name for name in rows[0] if name not in WHERE]
    read = [_guided(method, _read(row)) for row in like]
    values = {name: Counter(row[name] for row in read).most_common(1)[0][0] for name in names}
    given = {name: value for name, value in values.items() if value is not None}
    found = Hyperparameters({}, {}).put(given, f"default, the commonest of the {place}")
    return found.put(dict(guided_blocks="-1"), "default, the last block") if "guided_blocks" in given else found
