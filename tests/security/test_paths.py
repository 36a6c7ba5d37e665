"""Names and paths in lists and plans stay below the folder that they are relative to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from davpt_seg.benchmark.plan.plan import plan_of
from davpt_seg.benchmark.plan.reading import read_plan
from davpt_seg.datasets.fgvc import FGVCDataset
from davpt_seg.datasets.vtab import VTABDataset
from davpt_seg.errors import DataError, InputError

OUTSIDE = [
    "/etc/passwd",
    "../secret.png",
    "images/../../secret.png",
    "..",
    "..\\secret.png",
    "C:\\secret.png",
    "//host/x",
]


def vtab(root: Path, entry: str) -> VTABDataset:
    (root / "mine").mkdir(parents=True, exist_ok=True)
    (root / "mine" / "train800.txt").write_text(f"images/0.png 0\n{entry} 1\n")
    return VTABDataset(str(root), "mine", "train800", num_classes=2)


def fgvc(root: Path, entry: str) -> FGVCDataset:
    (root / "images").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (2, 2)).save(root / "images" / "0.png")
    (root / "train.json").write_text(json.dumps({"0.png": 1, entry: 2}))
    return FGVCDataset(str(root), "mine", "train", num_classes=2)


@pytest.mark.parametrize("entry", OUTSIDE)
def test_a_listed_image_outside_of_the_folder_is_refused_with_its_line(entry: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"mine/train800\.txt, line 2: .* must be a path below"):
        vtab(tmp_path, entry)[1]
    with pytest.raises(DataError, match=r"train\.json: .* must be a path below"):
        fgvc(tmp_path / "fgvc", entry)[1]


def test_links_below_the_folder_are_followed_as_caches_and_clusters_make_them(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "elsewhere.png")
    images = tmp_path / "data" / "mine" / "images"
    images.mkdir(parents=True)
    (images / "link.png").symlink_to(tmp_path / "elsewhere.png")
    assert len(vtab(tmp_path / "data", "images/link.png").load_data_list()) == 2
    (tmp_path / "data" / "mine" / "more").symlink_to(tmp_path)
    assert len(vtab(tmp_path / "data", "more/elsewhere.png").load_data_list()) == 2


@pytest.mark.parametrize("name", ["../../x", "..", "/tmp/x", "vitb/../x", "a b", "", "x\n"])
def test_a_plan_names_no_folder_outside_of_its_work_dir(name: str) -> None:
    with pytest.raises(InputError, match=r"(?s)trunks: .* is no name; a name becomes a folder"):
        plan_of(dict(tasks=["vtab/dtd"], trunks=[name], methods=["linear"]))


def test_a_task_of_ones_own_names_no_folder_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vtab").mkdir()
    monkeypatch.setenv("VTAB_ROOT", str(tmp_path / "vtab"))
    with pytest.raises(InputError, match=r"tasks: 'vtab/\.\./\.\.' is no name"):
        plan_of(dict(tasks=["vtab/../.."], trunks=["vitb_in21k"], methods=["linear"]))


def test_a_plan_names_no_setting_outside(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("settings: [../../etc/secret]\n")
    with pytest.raises(InputError, match=r"settings: '\.\./\.\./etc/secret' is no name"):
        read_plan(tmp_path / "plan.yaml")


def test_a_plan_is_read_as_plain_yaml(tmp_path: Path) -> None:
    target = tmp_path / "created"
    (tmp_path / "plan.yaml").write_text(f"tasks: !!python/object/apply:os.mkdir ['{target}']\n")
    with pytest.raises(InputError, match="is no YAML"):
        read_plan(tmp_path / "plan.yaml")
    assert not target.exists()
