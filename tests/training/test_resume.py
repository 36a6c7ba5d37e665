"""The checkpoint to resume from is one that torch can open, whatever a disk did to the others."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from davpt_seg.training.resume import checkpoint_to_resume, damage, last_checkpoint


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    """Return a work dir with two checkpoints, of which the second is the last."""
    for number in (2, 4):
        content = dict(meta=dict(iter=number), state_dict=dict(weight=torch.arange(4.0)), optimizer={})
        torch.save(content, tmp_path / f"iter_{number}.pth")
        os.utime(tmp_path / f"iter_{number}.pth", (number, number))
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_4.pth"))
    return tmp_path


def test_a_flipped_bit_that_torch_cannot_read_over_is_damage(work_dir: Path) -> None:
    last = work_dir / "iter_4.pth"
    intact = last.read_bytes()
    end = intact.rfind(b"PK\6\6")  # the end records of zip64, and of zip
    unreadable = 0
    for place in range(end, len(intact)):
        for bit in (1, 8, 128):
            flipped = bytearray(intact)
            flipped[place] ^= bit
            last.write_bytes(flipped)
            os.utime(last, (place, place + bit))
            try:
                torch.load(last, weights_only=True)
            except RuntimeError:
                unreadable += 1
                assert damage(str(last)), (place - end, bit)
                assert checkpoint_to_resume(str(work_dir)) == str(work_dir / "iter_2.pth")
    assert unreadable > 20


def test_any_blank_may_be_in_the_path_of_the_last_checkpoint(work_dir: Path, tmp_path: Path) -> None:
    for name in ("my\u00a0run", "my\u3000run", "my run"):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(work_dir / "iter_4.pth", folder)
        (folder / "last_checkpoint").write_text(str(folder / "iter_4.pth"), encoding="utf-8")
        assert last_checkpoint(str(folder)) == str(folder / "iter_4.pth")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00\x80", b"", b"a\0b", b"iter_4.pth\nand more", b"."])
def test_a_damaged_name_of_the_last_checkpoint_is_not_followed(content: bytes, work_dir: Path) -> None:
    (work_dir / "last_checkpoint").write_bytes(content)
    assert checkpoint_to_resume(str(work_dir)) == str(work_dir / "iter_4.pth")
