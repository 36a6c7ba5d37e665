"""--resume takes no file that is not whole."""

from __future__ import annotations

import logging
import os
import re
import shutil
import warnings
import zipfile
from pathlib import Path

import pytest
import torch

from davpt_seg.commands.train import main_train
from davpt_seg.errors import InputError
from davpt_seg.training.resume import checkpoint_to_resume, damage, last_checkpoint


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A work dir with the checkpoints of iterations 2 and 4, and the best one, which nobody can resume from."""
    for age, name in enumerate(("iter_4", "iter_2", "best_mIoU_iter_4")):
        torch.save({"state_dict": torch.arange(1000.0)}, tmp_path / f"{name}.pth")
        os.utime(tmp_path / f"{name}.pth", (10**9 - age, 10**9 - age))
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_4.pth"))
    return tmp_path


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def lengthen_the_directory(path: Path) -> None:
    """Flip a bit where the archive says how long its directory is."""
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x06\x06") + 47] ^= 0x40
    path.write_bytes(data)


def write_a_part_twice(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("iter_4/data/0", b"0" * 4000)


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES = [
    (cut_off, "is cut off or no checkpoint"),
    (flip_a_bit, "is damaged: the checksum of its part 'iter_4/data/0' is wrong"),
    (lengthen_the_directory, "is cut off or no checkpoint"),
    (write_a_part_twice, "is damaged: its part 'iter_4/data/0' is there twice"),
    (empty, "is empty"),
    (Path.unlink, "does not exist"),
]


def test_the_last_checkpoint_is_taken_where_it_is_whole(run: Path) -> None:
    assert checkpoint_to_resume(str(run)) == str(run / "iter_4.pth")
    assert checkpoint_to_resume(str(run), str(run / "iter_2.pth")) == str(run / "iter_2.pth")


@pytest.mark.parametrize(("harm", "words"), DAMAGES)
def test_a_damaged_last_checkpoint_is_named_and_the_one_before_taken(
    harm: object, words: str, run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    harm(run / "iter_4.pth")
    with caplog.at_level(logging.WARNING, logger="davpt_seg"):
        assert checkpoint_to_resume(str(run)) == str(run / "iter_2.pth")
    assert f"{run / 'iter_4.pth'} {words}" in caplog.text
    assert f"RESUMING FROM {run / 'iter_2.pth'} INSTEAD" in caplog.text


def test_a_damaged_checkpoint_that_the_user_named_is_refused_with_a_whole_one_offered(run: Path) -> None:
    cut_off(run / "iter_4.pth")
    with pytest.raises(InputError, match=r"iter_4\.pth' is cut off.*newest intact one beside it is .*iter_2\.pth"):
        checkpoint_to_resume(str(run), str(run / "iter_4.pth"))


def test_without_any_whole_one_the_user_is_told_all_of_them(run: Path) -> None:
    cut_off(run / "iter_2.pth")
    empty(run / "iter_4.pth")
    with pytest.raises(InputError, match=r"iter_4\.pth is empty; .*iter_2\.pth is cut off.*Omit --resume"):
        checkpoint_to_resume(str(run))


def test_a_run_that_wrote_nothing_yet_starts(tmp_path: Path) -> None:
    assert checkpoint_to_resume(str(tmp_path / "none")) is None


def test_addresses_are_left_to_mmengine(run: Path) -> None:
    assert checkpoint_to_resume(str(run), "s3://bucket/iter_4.pth") == "s3://bucket/iter_4.pth"


def test_a_moved_work_dir_is_resumed_from(run: Path) -> None:
    moved = run.rename(run.parent / f"{run.name}_moved")
    assert checkpoint_to_resume(str(moved)) == str(moved / "iter_4.pth")


def test_a_copied_work_dir_is_resumed_from_its_own_file(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its pointer names the original, which is still there."""
    copy = Path(shutil.copytree(run, run.parent / f"{run.name}_copy"))
    with caplog.at_level(logging.WARNING, logger="davpt_seg"):
        assert checkpoint_to_resume(str(copy)) == last_checkpoint(str(copy)) == str(copy / "iter_4.pth")
    assert f"names {run / 'iter_4.pth'}; {copy / 'iter_4.pth'} is taken, which has the same name" in caplog.text
    cut_off(copy / "iter_4.pth")
    assert checkpoint_to_resume(str(copy)) == str(copy / "iter_2.pth")  # and not the original's


def test_where_neither_is_there_both_are_named(run: Path) -> None:
    copy = run.parent / f"{run.name}_copy"
    copy.mkdir()
    shutil.move(run / "last_checkpoint", copy)
    (run / "iter_4.pth").unlink()
    (run / "iter_2.pth").unlink()
    both = f"{re.escape(str(run / 'iter_4.pth'))} does not exist; {re.escape(str(copy / 'iter_4.pth'))} does not exist"
    with pytest.raises(InputError, match=f"no checkpoint to resume from: {both}"):
        checkpoint_to_resume(str(copy))
    assert last_checkpoint(str(copy)) is None


def test_checkpoints_that_are_written_elsewhere_are_resumed_from(
    run: Path, tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    work = tmp_path_factory.mktemp("work")
    shutil.move(run / "last_checkpoint", work)
    with caplog.at_level(logging.WARNING, logger="davpt_seg"):
        assert checkpoint_to_resume(str(work)) == str(run / "iter_4.pth")
    assert f"RESUMING FROM {run / 'iter_4.pth'}, which is not in {work}" in caplog.text


def test_the_command_line_ends_with_the_message(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut_off(run / "iter_4.pth")
    config = str(Path(__file__).parents[2] / "configs/davpt/linear_vits14_camvid.py")
    with pytest.raises(SystemExit):
        main_train([config, "--work-dir", str(run), "--resume", str(run / "iter_4.pth")])
    assert "error: --resume: checkpoint" in capsys.readouterr().err


def test_a_whole_file_is_whole(run: Path) -> None:
    assert damage(str(run / "iter_2.pth")) == ""
