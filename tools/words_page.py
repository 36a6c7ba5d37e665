"""Write docs/words.md: words of experiments, parts of configs and keys of plans, from where the package defines them.

python tools/words_page.py            # writes the page
python tools/words_page.py --print    # prints it
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from davpt_seg.benchmark.plan.markdown import key_tables
from davpt_seg.experiments.catalog import config_root
from davpt_seg.experiments.detection import is_detection
from davpt_seg.experiments.fitting import CLASSIFICATION_ONLY
from davpt_seg.experiments.hyperparameters import hyperparameters
from davpt_seg.experiments.parts import read_part
from davpt_seg.experiments.words import CLASSIFICATION, DETECTION, EXAMPLES, SEGMENTATION, markdown, words_of

PAGE = Path(__file__).parents[1] / "docs" / "words.md"
HEADS = {SEGMENTATION: ("upernet", "setr_pup", "linear"), CLASSIFICATION: ("classifier",)}
INTRODUCTION = f"""\
# Words of experiments

Look up the words of an experiment. `train`, `test`, `count` and plans of the [benchmark](benchmark.md) take them, and
`davpt-seg train --help` prints them:

```shell
davpt-seg train {EXAMPLES[SEGMENTATION]} --dry-run
davpt-seg train {EXAMPLES[CLASSIFICATION]} --dry-run
davpt-seg train {EXAMPLES[DETECTION]} --dry-run
```

Five words name parts: `method`, `head`, `trunk`, `data` and `schedule`. A part is a file of `configs/_base_`, or the
path of your own `.py` file. The other words set values in these parts. `--dry-run` prints each value and its source.
[configs.md](configs.md) explains experiments of segmentation, [classification.md](classification.md) those of image
classification, [detection.md](detection.md) those of detection. The last section lists the keys of
[plans](#keys-of-plans).

<!-- The rest is written by tools/words_page.py. -->
"""
ROW = """\
"The row's" means the value in the experiment's row of
[the table of hyper-parameters](classification.md#the-hyper-parameters), "the method's" the value in the method's
file."""
NO_ROW = "A custom data set, ViT or method has no row in the table of hyper-parameters. It starts from these values:"
PLANS = "A plan of the [benchmark](benchmark.md#plans) is a YAML file with these keys."
OF_DETECTION = """\
`data` must be given. Trunks are those of segmentation that have an `upernet`; the default is `vitb`. Schedules of
segmentation can be used, too."""
BASE = config_root() / "_base_"


def names(kind: str) -> list[str]:
    """Return the names of a kind of parts."""
    parts = (path.relative_to(BASE / kind).with_suffix("").as_posix() for path in (BASE / kind).rglob("*.py"))
    return sorted(part for part in parts if not part.endswith("base"))


def sentence(kind: str, name: str) -> str:
    """Return the first sentence of the comment that a part begins with."""
    comment = ""
    for line in (BASE / kind / f"{name}.py").read_text().splitlines():
        if not line.startswith("#"):
            break
        comment += line.lstrip("#")
    return re.split(r"(?<!Sec)\. ", comment.strip())[0].rstrip(".")


def default(word: str, task: str, name: str) -> str:
    """Mark a part that is used where the word is omitted."""
    return f"`{name}` (default)" if words_of(task)[word].default == name else f"`{name}`"


def rows(*cells: tuple[str, ...]) -> str:
    """Return a table, whose first row is the header."""
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|---" * len(cells[0]) + "|", *lines[1:]])


def methods() -> str:
    """Return the table of the methods."""
    cells = []
    for name in names("methods"):
        note = "; image classification only" if name in CLASSIFICATION_ONLY else ""
        cells.append((default("method", SEGMENTATION, name), sentence("methods", name) + note))
    return rows(("`method`", "what it is"), *cells)


def trunks(task: str) -> str:
    """Return the table of a task's trunks with the heads that each has a file with."""
    heads: dict[str, list[str]] = {}
    for head in HEADS[task]:
        for model in names("models"):
            if model.startswith(f"{head}_"):
                heads.setdefault(model.removeprefix(f"{head}_"), []).append(head)
    cells = []
    for trunk, of in sorted(heads.items()):
        text = sentence("models", f"{of[0]}_{trunk}")
        text = re.split(r"; |, in crops|: ", re.sub(r"^.*? frozen ", "", text))[0]
        cells.append((default("trunk", task, trunk), text, " ".join(f"`{head}`" for head in of)))
    return rows(("`trunk`", "ViT", "`head`"), *cells)


def detectors() -> str:
    """Return the table of detection's heads."""
    cells = [(default("head", DETECTION, name), sentence("detectors", name)) for name in names("detectors")]
    return rows(("`head`", "detector"), *cells)


def data(task: str) -> str:
    """Return the table of a task's data sets, those of a folder in one row."""
    cells = []
    folders: dict[str, list[str]] = {}
    for name in names("datasets"):
        folder, _, leaf = name.rpartition("/")
        if folder:
            folders.setdefault(folder, []).append(f"`{leaf}`")
        elif task == (DETECTION if is_detection(read_part("data", name)) else SEGMENTATION):
            cells.append((default("data", task, name), sentence("datasets", name)))
    if task == CLASSIFICATION:
        cells = [(f"`{folder}/NAME`", f"{' '.join(leaves)}") for folder, leaves in folders.items()]
    return rows(("`data`", "data set"), *cells)


def schedules(task: str) -> str:
    """Return the table of a task's schedules."""
    of = {CLASSIFICATION: words_of(CLASSIFICATION)["schedule"].choices}
    of[DETECTION] = (words_of(DETECTION)["schedule"].default,)
    elsewhere = [name for own in of.values() for name in own]
    own = of.get(task) or [name for name in names("schedules") if name not in elsewhere]
    cells = [(default("schedule", task, name), sentence("schedules", name)) for name in own]
    return rows(("`schedule`", "what it is"), *cells)


def defaults() -> str:
    """Return the table of values where the table of hyper-parameters has no row."""
    of = {f"`davpt` on `{trunk}`": ("davpt_plus", trunk) for trunk in ("vitb_augreg_in21k", "vitb_mae", "vitb_mocov3")}
    of |= {"`davpt` on a custom ViT": ("davpt_plus", "custom"), "a custom method": ("custom.py", "custom")}
    columns = [hyperparameters(method, trunk, "custom") for method, trunk in of.values()]
    cells = [
        (f"`{name}`", *("-" if column[name] is None else str(column[name]) for column in columns))
        for name in columns[0].values
    ]
    return rows(("value", *of), *cells)


def page() -> str:
    """Return the text of the page."""
    heads = ", ".join(default("head", SEGMENTATION, head) for head in HEADS[SEGMENTATION])
    sections = [
        ("Methods of all tasks", "Several methods join by `+`: `method=lora+guidance`.", methods()),
        ("Segmentation: parts", f"`head` is {heads}.", trunks(SEGMENTATION)),
        ("", "", data(SEGMENTATION)),
        ("", "", schedules(SEGMENTATION)),
        ("Segmentation: values", "", markdown(SEGMENTATION)),
        ("Image classification: parts", "`data` must be given.", trunks(CLASSIFICATION)),
        ("", "", data(CLASSIFICATION)),
        ("", "", schedules(CLASSIFICATION)),
        ("Image classification: values", ROW, markdown(CLASSIFICATION)),
        ("Image classification: defaults", NO_ROW, defaults()),
        ("Detection: parts", OF_DETECTION, detectors()),
        ("", "", data(DETECTION)),
        ("", "", schedules(DETECTION)),
        ("Detection: values", "These are the values of segmentation.", ""),
        ("Keys of plans", PLANS, key_tables()),
    ]  # fmt: skip
    blocks = [INTRODUCTION.rstrip()]
    for title, text, table in sections:
        blocks += [f"## {title}"] * bool(title) + [text] * bool(text) + [table] * bool(table)
    return "\n\n".join(blocks) + "\n"


def main() -> None:
    """Write or print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--print", action="store_true", help="print the page, and write nothing")
    if parser.parse_args().print:
        print(page(), end="")
    else:
        PAGE.write_text(page())


if __name__ == "__main__":
    main()
