"""Whatever ends a write, the old file is complete; and nothing is left that the next write does not remove."""

from __future__ import annotations

import ast
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import davpt_seg
from davpt_seg import replacing as module
from davpt_seg.replacing import UNFINISHED, replacing

needs_fork = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="ends a forked process")
WAYS = [dict(durable=durable, shared=shared) for durable in (False, True) for shared in (False, True)]
SIZE = 200_000


def fill_file(part: Path, letter: bytes, stop: Callable[[], object] = lambda: None) -> None:
    with open(part, "wb") as file:
        file.write(letter * (SIZE // 2))
        file.flush()
        stop()
        file.write(letter * (SIZE // 2))


def fill_folder(part: Path, letter: bytes, stop: Callable[[], object] = lambda: None) -> None:
    part.mkdir()
    (part / "first").write_bytes(letter)
    stop()
    (part / "second").write_bytes(letter)


def content(path: Path) -> Any:
    return {each.name: each.read_bytes() for each in path.iterdir()} if path.is_dir() else path.read_bytes()


KINDS = [pytest.param(fill_file, way, id=f"file {way}") for way in WAYS]
KINDS.append(pytest.param(fill_folder, {}, id="folder"))


@pytest.mark.parametrize(("fill", "way"), KINDS)
def test_a_replaced_path_holds_what_was_written_and_nothing_is_left(tmp_path: Path, fill: Any, way: Any) -> None:
    path = tmp_path / "deep" / "x.bin"
    for letter in (b"a", b"b"):
        with replacing(path, **way) as part:
            fill(part, letter)
            assert part.parent == path.parent and part.name.endswith(UNFINISHED)
        fill(tmp_path / letter.decode(), letter)
        assert content(path) == content(tmp_path / letter.decode())
        assert os.listdir(path.parent) == ["x.bin"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize(("fill", "way"), KINDS)
def test_an_exception_leaves_the_old_content_and_no_part(
    tmp_path: Path, fill: Any, way: Any, error: BaseException
) -> None:
    path = tmp_path / "x.bin"

    def stop() -> None:
        raise error

    for there in (False, True):
        before = content(path) if there else None
        with pytest.raises(type(error)), replacing(path, **way) as part:
            fill(part, b"b", stop)
        assert os.listdir(tmp_path) == (["x.bin"] if there else [])
        assert not there or content(path) == before
        if not there:
            with replacing(path, **way) as part:
                fill(part, b"a")


@contextmanager
def child(work: Callable[..., object], *args: Any) -> Iterator[Any]:
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    try:
        yield process
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.join()


def write_half(path: Path, fill: Any, way: Any, half: Any) -> None:
    def stop() -> None:
        half.set()
        time.sleep(60)

    with replacing(path, **way) as part:
        fill(part, b"b", stop)


@needs_fork
@pytest.mark.parametrize(("fill", "way"), KINDS)
def test_a_killed_writer_leaves_the_old_content_and_a_part_that_the_next_writer_removes(
    tmp_path: Path, fill: Any, way: Any
) -> None:
    path = tmp_path / "x.bin"
    with replacing(path, **way) as part:
        fill(part, b"a")
    old = content(path)
    half = multiprocessing.get_context("fork").Event()
    with child(write_half, path, fill, way, half):
        assert half.wait(30)
    (left,) = set(os.listdir(tmp_path)) - {"x.bin"}
    assert left.startswith("x.bin.") and left.endswith(UNFINISHED)
    assert content(path) == old
    with replacing(path, **way) as part:
        fill(part, b"c")
    assert content(path) != old and os.listdir(tmp_path) == ["x.bin"]


def test_a_folder_that_cannot_be_replaced_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, rename = tmp_path / "x", os.replace
    fill_folder(path, b"a")

    def full(source: Path, target: Path) -> None:
        if target == path and source.name == f"x{UNFINISHED}":
            raise OSError("disk full")
        rename(source, target)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"), replacing(path) as part:
        patch.setattr(os, "replace", full)
        fill_folder(part, b"b")
    assert content(path) == dict(first=b"a", second=b"a") and os.listdir(tmp_path) == ["x"]

    path.rename(tmp_path / f"x.old{UNFINISHED}")  # as a process leaves it that is killed between two renamings
    with replacing(path) as part:
        fill_folder(part, b"c")
    assert content(path) == dict(first=b"c", second=b"c") and os.listdir(tmp_path) == ["x"]


def test_several_writers_of_one_folder_leave_the_content_of_one_of_them(tmp_path: Path) -> None:
    path, letters = tmp_path / "x", [bytes([letter]) for letter in b"abcdefgh"]

    def write(letter: bytes) -> None:
        for _ in range(20):
            with replacing(path, shared=True) as part:
                fill_folder(part, letter)

    with ThreadPoolExecutor(len(letters)) as pool:
        list(pool.map(write, letters))
    assert content(path) in [dict(first=letter, second=letter) for letter in letters]
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize(("fill", "way"), KINDS)
def test_the_longest_name_of_a_file_system_is_no_longer_with_a_part(tmp_path: Path, fill: Any, way: Any) -> None:
    for name in ("x" * 255, "x" * 254, "\N{LATIN SMALL LETTER E WITH ACUTE}" * 127):
        for letter in (b"a", b"b"):
            with replacing(tmp_path / name, **way) as part:
                fill(part, letter)
        fill(tmp_path / "plain", b"b")
        assert content(tmp_path / name) == content(tmp_path / "plain")
        for path in (tmp_path / name, tmp_path / "plain"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
@pytest.mark.parametrize("target", ["file", "folder", "nothing"])
@pytest.mark.parametrize(("fill", "way"), KINDS)
def test_a_link_is_replaced_and_its_target_stays(tmp_path: Path, fill: Any, way: Any, target: str) -> None:
    (tmp_path / "file").write_bytes(b"old")
    fill_folder(tmp_path / "folder", b"o")
    path = tmp_path / "link"
    path.symlink_to(target)
    with replacing(path, **way) as part:
        fill(part, b"a")
    fill(tmp_path / "plain", b"a")
    assert content(path) == content(tmp_path / "plain") and not path.is_symlink()
    assert content(tmp_path / "file") == b"old" and content(tmp_path / "folder") == dict(first=b"o", second=b"o")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder", "link", "plain"]


@pytest.mark.parametrize("way", WAYS)
def test_a_mount_that_refuses_chmod_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Any) -> None:
    """Files of such mounts have the same permissions, those of the mount."""

    def refused(*args: Any, **options: Any) -> None:
        raise PermissionError("Operation not permitted")

    monkeypatch.setattr(os, "chmod", refused)
    for letter in (b"a", b"b"):
        with replacing(tmp_path / "x.bin", **way) as part:
            part.write_bytes(letter)
    assert content(tmp_path / "x.bin") == b"b"


def write_for_ever(path: Path, way: Any) -> None:
    while True:
        for letter in (b"a", b"b"):
            with replacing(path, **way) as part:
                fill_file(part, letter)


@needs_fork
@pytest.mark.parametrize("way", WAYS)
def test_a_writer_killed_at_any_instant_leaves_a_complete_file(tmp_path: Path, way: Any) -> None:
    path = tmp_path / "x.bin"
    with replacing(path) as part:
        fill_file(part, b"a")
    for instant in range(10):
        with child(write_for_ever, path, way):
            time.sleep(0.01 + 0.0037 * instant)
        assert content(path) in (b"a" * SIZE, b"b" * SIZE)
        assert all(name.endswith(UNFINISHED) for name in set(os.listdir(tmp_path)) - {"x.bin"})
    with replacing(path, **way) as part:
        fill_file(part, b"c")
    assert content(path) == b"c" * SIZE and os.listdir(tmp_path) == ["x.bin"]


def write_often(path: Path, number: int) -> None:
    for _ in range(50):
        with replacing(path, shared=True) as part:
            fill_file(part, b"ab"[number % 2 :][:1])


@needs_fork
def test_processes_may_share_a_path(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_often, args=(tmp_path / "x.bin", n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert sorted(os.listdir(tmp_path)) == ["x.bin"]
    assert content(tmp_path / "x.bin") in (b"a" * SIZE, b"b" * SIZE)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("way", WAYS)
def test_permissions_are_those_that_a_plain_open_gives(tmp_path: Path, way: Any) -> None:
    path, plain = tmp_path / "x.bin", tmp_path / "plain"
    before = os.umask(0o027)
    try:
        for mode in (None, 0o600, 0o664):
            for each in (path, plain):
                if mode is not None:
                    each.chmod(mode)
            plain.write_bytes(b"a")
            with replacing(path, **way) as part:
                part.write_bytes(b"a")
            assert path.stat().st_mode == plain.stat().st_mode
    finally:
        os.umask(before)


@pytest.mark.parametrize("durable", [False, True])
def test_a_durable_file_is_on_the_disk_before_its_name_and_others_wait_for_no_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    steps = []
    synced = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (steps.append("disk"), synced(handle)))
    replaced = module._replace
    monkeypatch.setattr(module, "_replace", lambda part, path: (steps.append("name"), replaced(part, path)))
    with replacing(tmp_path / "x.bin", durable=durable) as part:
        part.write_bytes(b"a")
    assert steps == (["disk", "name", "disk"] if durable and os.name == "posix" else ["disk"] * durable + ["name"])


def test_files_are_replaced_in_one_place() -> None:
    root = Path(davpt_seg.__file__).parent
    found = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.replace", "os.rename", "tempfile.mkstemp")
    }
    assert found == {"replacing.py"}
