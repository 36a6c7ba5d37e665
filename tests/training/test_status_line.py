"""Progress is the last line of a terminal, and log records are above it."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.logging import HistoryBuffer

from davpt_seg.training.runner import CommandRunner, terminal_handlers
from davpt_seg.training.status_line import CLEAR, latest, status_line

from . import by_iterations, tiny_camvid


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """The lines that a terminal shows."""
        return [line.rpartition(CLEAR)[2] for line in self.getvalue().split("\n")]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_has_a_bar_below_the_log_and_a_file_has_none(terminal: bool, camvid: Path, tmp_path: Path) -> None:
    cfg = by_iterations(tiny_camvid(camvid, tmp_path), 3)
    cfg.train_cfg.val_interval = 2
    runner = CommandRunner.from_cfg(cfg)
    (handler,) = terminal_handlers(runner.logger)
    stream = Terminal() if terminal else io.StringIO()
    handler.setStream(stream)
    with status_line(runner):
        runner.train()
    written = stream.getvalue()
    assert ("training [######--------------] 1/3  ETA 0:00:" in written) == terminal
    assert ("validation [" in written) == terminal
    assert bool(re.search(r"training .* 3/3 .*  loss [\d.]+  mIoU [\d.]+ \(best [\d.]+\)", written)) == terminal
    assert ("\r" in written) == terminal
    lines = stream.screen() if isinstance(stream, Terminal) else written.split("\n")
    assert not any("training [" in line or "validation [" in line for line in lines)  # each is removed again
    assert sum("Iter(train)" in line for line in lines) == 3
    assert len(handler.filters) == 2  # MMEngine's and the list of hidden records'


def test_the_line_is_removed_where_a_training_fails(camvid: Path, tmp_path: Path) -> None:
    runner = CommandRunner.from_cfg(by_iterations(tiny_camvid(camvid, tmp_path), 3))
    (handler,) = terminal_handlers(runner.logger)
    handler.setStream(Terminal())
    stream = handler.stream
    with pytest.raises(KeyboardInterrupt), status_line(runner):
        runner.call_hook("before_train_epoch")
        assert stream.screen()[-1].startswith("training: ")
        raise KeyboardInterrupt
    assert stream.screen()[-1] == ""


@pytest.mark.parametrize(("rule", "best"), [("greater", 40), ("less", 20)])
def test_the_best_score_is_the_one_by_which_the_best_checkpoint_is_kept(rule: str, best: float) -> None:
    hub = SimpleNamespace(
        log_scalars={"val/mIoU": HistoryBuffer([1], [1]), "val/error": HistoryBuffer([20, 40, 30], [1, 1, 1])}
    )
    hook = SimpleNamespace(key_indicators=["error"], rules=[rule])
    assert [*latest(SimpleNamespace(message_hub=hub, hooks=[hook]))] == [f"error 30 (best {best})"]
