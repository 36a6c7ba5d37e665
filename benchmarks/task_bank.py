"""Time and memory of many tasks on one trunk, as ratios to the bare trunk.

    python benchmarks/task_bank.py --threads 1
    python benchmarks/task_bank.py --arguments lora --tasks 10 --batch-sizes 8

Tasks of random prompts are added to a :class:`davpt_seg.core.task_bank.TaskBank` on one frozen timm ViT of random
weights. Two arms run on the same random images, without gradients:

- **trunk**: timm's own ``forward_features``: no prompts.
- **bank**: each image with another task, if there are enough; class token, mean token and last map of each
  image, no heads.

A round runs each arm once, in turns; a ratio is the median (and interquartile range) of those within rounds. Memory is
the resident set (RSS) of this process, Python and PyTorch included, after the tasks were added; the tensors of a task
are counted, too. Adding a task is building its model on the bank's trunk, and ``bank.add``.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Optional

import torch
from measuring import Ratio, add_options, header, in_turns, measuring, ratio, timed
from torch import Tensor

from davpt_seg.core import PromptedViT
from davpt_seg.core.task_bank import TaskBank
from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser

ARGUMENTS: dict[str, Any] = {
    "davpt": lambda n: dict(prompts=dict(num_prompts=n)),
    "davpt+": lambda n: dict(prompts=dict(num_prompts=n), tuned=["blocks.*.attn.key_bias", "blocks.*.attn.value_bias"]),
    "different": lambda n: dict(prompts=dict(num_prompts=n)),  # half of the tasks have half of the prompts
    "zero_start": lambda n: dict(prompts=dict(num_prompts=n, start="offset")),
    "lora": lambda n: dict(adapters=[dict(type="lora", rank=8)]),
    "adaptformer": lambda n: dict(adapters=[dict(type="adaptformer", width=8)]),
    "ssf": lambda n: dict(adapters=[dict(type="ssf")]),
}


def resident() -> float:
    """Return the MiB of memory that this process has, or NaN without /proc."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return float("nan")
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def add_tasks(bank: TaskBank, number: int, options: argparse.Namespace) -> dict[str, list[float]]:
    """Add tasks of random values until the bank has ``number``; return the seconds of building and adding each."""
    seconds: dict[str, list[float]] = {"build": [], "add": []}
    for i in range(len(bank.tasks), number):
        prompts = options.num_prompts // 2 if options.arguments == "different" and i % 2 else options.num_prompts
        build = partial(PromptedViT, options.model, weights=bank.model, **ARGUMENTS[options.arguments](prompts))
        models: list[PromptedViT] = []
        seconds["build"].append(timed(lambda: models.append(build().to(options.device)), options))  # noqa: B023
        model = models[0]
        learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
        with torch.no_grad():  # what starts at zero would do nothing
            for parameter in learned:
                parameter.add_(0.02 * torch.randn_like(parameter))
        seconds["add"].append(timed(partial(bank.add, f"task {i}", model), options))
    return seconds


def compare(bank: TaskBank, batch_size: int, options: argparse.Namespace, title: str) -> dict[str, list[float]]:
    """Measure the arms on one batch: seconds of each round."""
    images = torch.randn(batch_size, 3, options.image_size, options.image_size, device=options.device)
    tasks = [bank.tasks[row * len(bank.tasks) // batch_size] for row in range(batch_size)]

    @torch.no_grad()
    def run(call: Any) -> Any:
        with torch.autocast(options.device.type, dtype=torch.bfloat16, enabled=options.amp):
            return call()

    arms = {
        "trunk": partial(run, partial(bank.model.trunk.forward_features, images)),
        "bank": partial(run, partial(bank.features, images, tasks)),
    }
    if len(set(tasks)) == 1:
        check_tokens(bank, images, tasks)
    return in_turns({name: partial(timed, call, options) for name, call in arms.items()}, options, title)


def check_tokens(bank: TaskBank, images: Tensor, tasks: Sequence[str]) -> None:
    """Make sure that prompts change something, and that each image has its tokens."""
    with torch.no_grad():
        bare = bank.model(images).mean_token
    found = torch.cat([features.mean_token for features in bank.features(images, tasks)])
    if found.shape != bare.shape or torch.equal(found, bare):
        raise SystemExit("the bank's tokens are those of the bare trunk")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all numbers of tasks, and then all batch sizes."""
    torch.manual_seed(0)
    owner = PromptedViT(options.model).to(options.device).eval()
    bank = TaskBank(owner)
    found: dict[str, Any] = {"empty": resident(), "tasks": {}, "batches": {}}
    for number in options.tasks:
        seconds = add_tasks(bank, number, options)
        gc.collect()
        found["tasks"][number] = dict(
            resident=resident(),
            tensors=sum(bank.bytes_of(name) for name in bank.tasks) / 2**20,
            add={name: statistics.median(each) for name, each in seconds.items()},
            seconds=compare(bank, options.batch_size, options, f"{number} tasks"),
        )
    for batch_size in options.batch_sizes:
        found["batches"][batch_size] = compare(bank, batch_size, options, f"batch of {batch_size}")
    found["peak"] = resident()
    return found


def of_trunk(seconds: dict[str, list[float]]) -> Ratio:
    """Compare the bank with the bare trunk."""
    return ratio(seconds["bank"], seconds["trunk"])


def tables(found: dict[str, Any], options: argparse.Namespace) -> str:
    """Write Markdown tables."""
    lines = [
        f"RSS with the trunk and no task: {found['empty']:.0f} MiB",
        "",
        "| tasks | RSS, MiB | RSS a task, MiB | tensors a task, MiB | model built, ms | added, ms | "
        f"batch of {options.batch_size}: time to trunk |",
        "|---" * 7 + "|",
    ]
    for number, each in found["tasks"].items():
        grown = (each["resident"] - found["empty"]) / number
        milliseconds = [f"{1000 * each['add'][name]:.1f}" for name in ("build", "add")]
        cells = [number, f"{each['resident']:.0f}", f"{grown:.2f}", f"{each['tensors'] / number:.2f}", *milliseconds]
        lines.append(f"| {' | '.join(map(str, cells))} | {of_trunk(each['seconds'])} |")
    lines += ["", "| images | tasks | trunk, s | bank, s | time to trunk |", "|---" * 5 + "|"]
    for batch_size, seconds in found["batches"].items():
        number = min(batch_size, max(found["tasks"]))
        both = " | ".join(f"{statistics.median(seconds[name]):.4f}" for name in ("trunk", "bank"))
        lines.append(f"| {batch_size} | {number} | {both} | {of_trunk(seconds)} |")
    return "\n".join([*lines, "", f"RSS at the end: {found['peak']:.0f} MiB"])


@command
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Print the tables."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, nargs="+", default=[1, 10, 100, 1000], help="numbers, rising")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32], help="of mixed batches")
    parser.add_argument("--num-prompts", type=int, default=20, help="in every block (default: %(default)s)")
    parser.add_argument("--arguments", choices=ARGUMENTS, default="davpt", help="what a task is (default: %(default)s)")
    parser.add_argument("--model", default="vit_base_patch16_224", help="a timm ViT (default: %(default)s)")
    add_options(parser, batch_size=8, rounds=7)
    options = parser.parse_args(argv)
    print(run := header(options.model, options), flush=True)
    with measuring(options.threads):
        found = measure(options)
    print(f"\n{tables(found, options)}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(dict(header=run, arguments=options.arguments, **found), indent=2))


if __name__ == "__main__":
    main()
