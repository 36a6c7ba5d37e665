"""What pycocotools prints is in the log file, and other lines are on the terminal."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from pathlib import Path

import pytest
from mmengine.logging import MMLogger

from davpt_seg.terminal.prints import Printed, known_prints_logged


def annotations() -> dict[str, list[dict[str, object]]]:
    box = dict(bbox=[2, 2, 10, 12], area=120, iscrowd=0)
    return dict(
        images=[dict(id=1, width=32, height=32)],
        annotations=[dict(id=1, image_id=1, category_id=1, **box)],
        categories=[dict(id=1, name="a")],
    )


def test_the_lines_of_a_coco_evaluation_are_in_the_log_file_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    coco, cocoeval = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")
    log = tmp_path / "run.log"
    handler = logging.FileHandler(log)
    MMLogger.get_current_instance().addHandler(handler)
    with known_prints_logged():
        truth = coco.COCO()
        truth.dataset = annotations()
        truth.createIndex()
        found = truth.loadRes([dict(image_id=1, category_id=1, bbox=[2, 2, 10, 12], score=0.5)])
        judge = cocoeval.COCOeval(truth, found, "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
        print("a line of a user,", 12)
    MMLogger.get_current_instance().removeHandler(handler)
    handler.close()
    assert capsys.readouterr().out == "a line of a user, 12\n"
    assert sum(" Average " in line for line in log.read_text().splitlines()) == 12
    assert judge.stats[0] == pytest.approx(1)


def test_the_wrapped_output_is_the_stream_for_everything_else() -> None:
    stream = io.StringIO()
    printed = Printed(stream)
    with contextlib.redirect_stdout(printed):  # type: ignore[type-var]
        print("Average of lines, index created! Done (t=soon)", end="")
        print()
        print("index created!")
        print()
    assert stream.getvalue() == "Average of lines, index created! Done (t=soon)\n\n" and not printed.isatty()


def test_a_closed_output_stays_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with known_prints_logged():
        assert sys.stdout is None
