"""A work dir that cannot be written is refused first, with the reason; nothing is left there."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from davpt_seg.errors import InputError
from davpt_seg.replacing import replacing
from davpt_seg.terminal.system import of_system
from davpt_seg.training.refusals import step
from davpt_seg.training.start import check_work_dir


def test_a_work_dir_that_can_be_made_leaves_no_trace(tmp_path: Path) -> None:
    check_work_dir(str(tmp_path / "a" / "b"))
    assert not any(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    check_work_dir(str(tmp_path / "mine"))
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]


def test_a_work_dir_that_is_a_file_or_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, reason in (
        (tmp_path / "file", "it is a file"),
        (tmp_path / "file" / "below", "Not a directory"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        with pytest.raises(InputError, match=f"cannot be written: {reason}. Give another --work-dir"):
            check_work_dir(str(path))
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]


def test_a_read_only_work_dir_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(dir: str) -> None:
        raise OSError(errno.EROFS, "?", dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    with pytest.raises(InputError, match="cannot be written: Read-only file system"):
        check_work_dir(str(tmp_path))


def test_a_full_disk_is_reported_with_the_file_and_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "iter_2.pth"
    path.write_text("complete")
    with pytest.raises(OSError, match="28") as caught, step("the checkpoint"), replacing(path) as part:
        part.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert of_system(caught.value) == f"{path}: No space left on device. Free space, or write to another disk"
    assert path.read_text() == "complete"
    assert [each.name for each in tmp_path.iterdir()] == ["iter_2.pth"]
