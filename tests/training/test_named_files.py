"""A training names a file that is damaged after its start, whatever loop and workers read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, UnidentifiedImageError

from davpt_seg.errors import InputError
from davpt_seg.training.build_training import build_training
from davpt_seg.training.refusals import advise_check

from ..scenes import write_camvid
from . import by_iterations, tiny_camvid


@pytest.mark.parametrize("loop", ["epochs", "iterations"])
@pytest.mark.parametrize("kind", ["images", "annotations"])
def test_a_file_that_is_emptied_after_the_start_is_named(loop: str, kind: str, tmp_path: Path) -> None:
    data = write_camvid(tmp_path / "data", train=12)
    cfg = tiny_camvid(data, tmp_path / "work", **{"train_dataloader.num_workers": 1})
    cfg = by_iterations(cfg, 12) if loop == "iterations" else cfg
    cfg.train_dataloader.sampler.shuffle = False
    cfg.train_dataloader.batch_size = 1
    runner = build_training(cfg, "CONFIG", ())
    (path,) = (data / kind / "train").glob("0011.*")
    path.write_bytes(b"")
    with pytest.raises(InputError, match=rf"'{path}' cannot be read: the file is empty"):
        runner.train()


@pytest.mark.parametrize(
    "error",
    [
        UnidentifiedImageError("cannot identify image file <_io.BytesIO object at 0x7f>"),
        OSError("image file is truncated (9 bytes not processed)"),
        SyntaxError("broken PNG file (chunk b'a')"),
        Image.DecompressionBombError("Image size (9 pixels) exceeds limit of 8 pixels, could be decompression bomb"),
        AssertionError("failed to load image: x.jpg"),
        OSError("Caught OSError in DataLoader worker process 0.\nTraceback:\n  x\nOSError: image file is truncated"),
    ],
)
def test_an_unnamed_file_of_a_custom_data_set_is_answered_with_the_check(error: Exception) -> None:
    with (
        pytest.raises(InputError, match=r"an image or mask could not be read \(.*\); .*check-dataset") as refused,
        advise_check("CONFIG"),
    ):
        raise error
    assert "Traceback" not in str(refused.value)
    assert "0x" not in str(refused.value)


def test_other_errors_of_the_system_pass() -> None:
    with pytest.raises(OSError, match="disk"), advise_check("CONFIG"):
        raise OSError("disk full")
