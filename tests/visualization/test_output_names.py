"""Names of outputs: distinct on every disk, short, inside the folder."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import pytest

from davpt_seg.visualization.output_names import output_names


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/x/1.jpg", "b/x/2.jpg"], ["1", "2"]),
        (["a/x/1.jpg", "b/x/1.jpg", "b/x/2.jpg"], ["a/x/1", "b/x/1", "b/x/2"]),
        (["a/1.jpg", "a/1.png", "b/1.jpg"], ["a/1.jpg", "a/1.png", "b/1"]),
        (["a/Street.jpg", "a/street.jpg"], ["Street.jpg", "street.jpg~2"]),
        (["a/1.jpg", "a/../a/1.jpg", "./a/1.jpg"], ["1", "1", "1"]),
        (["../../1.jpg", "..jpg", "a.b/c.d.png"], ["1", "..jpg", "c.d"]),
    ],
)
def test_a_name_keeps_what_is_needed_to_tell_files_apart(paths: list[str], names: list[str]) -> None:
    assert list(output_names(paths).values()) == names


def test_a_link_keeps_its_own_name_and_its_folder_counts_once(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "3f2a").write_bytes(b"")
    (tmp_path / "street.jpg").symlink_to(tmp_path / "blobs" / "3f2a")
    (tmp_path / "again").symlink_to(tmp_path)
    paths = [str(tmp_path / "street.jpg"), str(tmp_path / "again" / "street.jpg")]
    assert list(output_names(paths).values()) == ["street", "street"]


def test_random_trees_of_files_have_distinct_names_inside_the_folder_whatever_the_order() -> None:
    draw = random.Random(0)
    parts, suffixes = (
        ["a", "A", "b", "..", ".", "a.jpg", "\u00e9", "e\u0301", "a~2"],
        [".jpg", ".JPG", ".png", "", ".x.png"],
    )
    for _ in range(300):
        paths = [
            "/".join(
                draw.choices(parts, k=draw.randint(0, 4)) + [draw.choice(parts[:3] + parts[5:]) + draw.choice(suffixes)]
            )
            for _ in range(draw.randint(1, 12))
        ]
        names = output_names(paths)
        files = {(Path(path).parent.resolve(), Path(path).name): names[path] for path in paths}
        folded = [unicodedata.normalize("NFC", name).casefold() for name in files.values()]
        assert len(set(folded)) == len(files)
        assert not any(part in ("..", "/", "") for name in files.values() for part in Path(name).parts)
        draw.shuffle(paths)
        again = output_names(paths)
        assert {names[path] for path in paths} == {again[path] for path in paths}
