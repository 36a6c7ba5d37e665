"""Ids of COCO's results: those of the annotations, and never one for two images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from davpt_seg.commands.coco_ids import Ids
from davpt_seg.errors import InputError


@pytest.fixture
def annotations(tmp_path: Path) -> str:
    images = [dict(id=70 + number, file_name=f"val/{name}.jpg") for number, name in enumerate("ab")]
    categories = [dict(id=9, name="pen"), dict(id=4, name="cup")]
    path = tmp_path / "val.json"
    path.write_text(json.dumps(dict(images=images, categories=categories, annotations=[])))
    return str(path)


def test_ids_are_those_of_the_names_in_the_annotations(annotations: str) -> None:
    ids = Ids([Path("x/b.jpg"), Path("x/a.jpg")], ["cup", "pen"], annotations)
    assert ids.categories == [4, 9]
    assert [ids.image(Path("x") / name) for name in ("a.jpg", "b.jpg")] == [70, 71]


@pytest.fixture
def cameras(tmp_path: Path) -> str:
    """Return annotations of two cameras, whose images have the same names."""
    images = [dict(id=number, file_name=f"./cam{number}//0001.jpg") for number in (1, 2)]
    path = tmp_path / "cameras.json"
    path.write_text("\ufeff" + json.dumps(dict(images=images, categories=[dict(id=9, name="pen")])), encoding="utf-8")
    return str(path)


def test_of_files_with_one_name_the_folder_decides(cameras: str) -> None:
    images = [Path("photos/cam2/0001.jpg"), Path("photos/cam1/0001.jpg")]
    ids = Ids(images, ["pen"], cameras)
    assert [ids.image(image) for image in images] == [2, 1]


def test_a_file_that_may_be_either_is_refused(cameras: str) -> None:
    with pytest.raises(InputError, match=r"photos/0001\.jpg may be cam1/0001\.jpg, cam2/0001\.jpg; give the images by"):
        Ids([Path("photos/0001.jpg")], ["pen"], cameras)


def test_two_images_of_one_name_are_refused(annotations: str) -> None:
    with pytest.raises(InputError, match=r"x/a\.jpg and y/a\.jpg have the same name"):
        Ids([Path("x/a.jpg"), Path("y/a.jpg")], ["cup", "pen"], annotations)
