"""A damaged file of a study is made again, or refused by name; a benchmark says nothing is done that is not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from davpt_seg.benchmark.command import main_benchmark
from davpt_seg.benchmark.plan.stay import stay
from davpt_seg.errors import InputError

from .conftest import Bench

ONE = (
    *("--tasks", "vtab/dtd", "--trunks", "vitb_in21k", "--methods", "linear"),
    *("--grid", "lr=1e-3,1e-2", "--seeds", "2"),
)
DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "binary": lambda content: bytes(range(256)),
    "UTF-16": lambda content: content.decode().encode("utf-16"),
    "nested": lambda content: b"[" * 100_000,
    "a list": lambda content: b"[1, 2]\n",
    "other keys": lambda content: b'{"a": 1}\n',
    "values of other types": lambda content: _replaced(content),
}


def _replaced(content: bytes) -> bytes:
    return json.dumps(dict.fromkeys(json.loads(content), "x")).encode()


STUDY = "vtab/dtd/vitb_in21k/linear"
FILES = (
    f"{STUDY}/study.json",
    f"{STUDY}/chosen.json",
    f"{STUDY}/search/lr=0.01/result.json",
    *(f"{STUDY}/final/seed=0/{name}.json" for name in ("run", "scores", "result")),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the work dir of a finished study."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        (folder / "vtab" / "dtd").mkdir(parents=True)
        patch.setenv("VTAB_ROOT", str(folder / "vtab"))
        patch.setenv("FAKE_DIARY", str(folder / "diary.txt"))
        assert Bench(folder).run("w", what=ONE) == 0
    return folder / "w"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_made_again_or_refused_by_name(
    damage: str, finished: Path, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Bench(finished.parent).table("w")
    for name in FILES:
        work_dir = bench.folder / "w"
        shutil.rmtree(work_dir, ignore_errors=True)
        shutil.copytree(finished, work_dir)
        path = work_dir / name
        path.write_bytes(DAMAGES[damage](path.read_bytes()))
        status = ended(bench)
        printed = capsys.readouterr()
        if status == 2:  # it describes another study or run
            assert str(path.parent.relative_to(work_dir)) in printed.err
            assert printed.err.count("\n") == 1
        else:
            assert status == 0, printed.err
            assert bench.table("w") == table
            if path.name in ("chosen.json", "study.json") or ("final" in name and path.name == "result.json"):
                assert json.loads(path.read_text())  # written again
    assert not bench.started()


@pytest.mark.parametrize("about", [[1], "x", 3, {"num_prompts": ["x"]}, {"num_prompts": 2}])
def test_importances_about_something_else_are_refused_by_name(about: object, tmp_path: Path) -> None:
    file = tmp_path / "importance.json"
    file.write_text(json.dumps({"about": about, "prompts": [1.0, 2.0], "segments": [[1.0, 2.0]] * 2}))
    with pytest.raises(InputError, match=f"{file} lacks about: num_prompts"):
        stay(file, {})


@pytest.mark.parametrize("folder", ["", " "])
def test_an_empty_work_dir_is_not_the_current_folder(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main_benchmark([*ONE, "--work-dir", folder])
    assert "--work-dir: it is empty; is its variable set?" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def ended(bench: Bench) -> object:
    try:
        return bench.run("w", what=ONE)
    except SystemExit as end:
        return end.code
