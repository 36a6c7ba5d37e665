"""Command lines as a user types them, in the folder of a user, and what the terminal shows of each."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Callable, NamedTuple

import timm
from safetensors.torch import save_file

from .scenes import write_camvid

ROOT = Path(__file__).parents[1]
LONGEST = 120  # seconds of a command; those here take two
MINE = """\
_base_ = "configs/davpt/linear_vits14_camvid.py"
timm_kwargs = dict(img_size=56, embed_dim=32, num_heads=2, depth=2)
backbone = dict(weights=None, timm_kwargs=timm_kwargs, out_indices=(1,), guidance=dict(blocks=[1]))
model = dict(backbone=backbone, decode_head=dict(in_channels=32, channels=32))
train_dataloader = dict(batch_size=2, num_workers=0)
val_dataloader = dict(num_workers=0)
test_dataloader = dict(num_workers=0)
train_cfg = dict(max_epochs=1, val_interval=1)
"""


class Shown(NamedTuple):
    """What a command printed, and its exit status."""

    out: str
    err: str
    status: int

    @property
    def lines(self) -> int:
        """Number of all lines printed."""
        return len((self.out + self.err).splitlines())

    @property
    def paragraph(self) -> str:
        """The last line of stderr."""
        return (self.err.splitlines() or [""])[-1]


class Shell:
    """A shell whose ``python`` and ``davpt-seg`` are those of a program, in a user's folder.

    Args:
        python: the program, such as ``sys.executable``.
        folder: an empty one.
        write: writes what the user's folder holds.
    """

    def __init__(self, python: str, folder: Path, write: Callable[[Path], object]) -> None:
        self._home, self._kept, self._commands = folder / "user", folder / "kept", folder / "bin"
        self._commands.mkdir()
        for name, call in (("python", python), ("davpt-seg", f"{python} -m davpt_seg")):
            (self._commands / name).write_text(f'#!/bin/sh\nexec {call} "$@"\n')
            (self._commands / name).chmod(0o755)
        write(self._home)
        self.keep()

    def keep(self) -> None:
        """Keep the user's folder as it is."""
        shutil.rmtree(self._kept, ignore_errors=True)
        shutil.copytree(self._home, self._kept, symlinks=True)

    def folder(self) -> Path:
        """Return the user's folder, as it was at first."""
        shutil.rmtree(self._home)
        shutil.copytree(self._kept, self._home, symlinks=True)
        return self._home

    def type(self, line: str) -> Shown:
        """Run a command line in the user's folder."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.endswith("_ROOT") and "DAVPT" not in name},
            "PYTHON": "python",
            "PATH": f"{self._commands}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self._home,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            stdin=subprocess.DEVNULL,
        )
        return Shown(done.stdout, done.stderr, done.returncode)


class Terminal(Shell):
    """A shell in the folder of a user of CamVid.

    The folder has CamVid in ``data/camvid``, a config ``mine.py``, its training in ``work_dirs/mine``, an adapter
    folder ``street``, weights of another ViT in ``vit.safetensors``, ``photo.jpg``, and the folders of a checkout.

    Args:
        python: the program, such as ``sys.executable``.
        folder: an empty one.
    """

    def __init__(self, python: str, folder: Path) -> None:
        super().__init__(python, folder, _write)
        for line in (
            "davpt-seg train mine.py --work-dir work_dirs/mine",
            "davpt-seg export work_dirs/mine/epoch_1.pth --out street",
        ):
            done = self.type(line)
            assert done.status == 0, done.err
        self.keep()


def _write(home: Path) -> None:
    write_camvid(home / "data" / "camvid")
    for name in ("tools", "configs", "benchmarks"):
        (home / name).symlink_to(ROOT / name)
    (home / "mine.py").write_text(MINE)
    shutil.copyfile(home / "data/camvid/images/val/0000.jpg", home / "photo.jpg")
    vit = timm.create_model("vit_small_patch14_dinov2", img_size=56, embed_dim=48, num_heads=2, depth=2, num_classes=0)
    save_file(vit.state_dict(), home / "vit.safetensors")
