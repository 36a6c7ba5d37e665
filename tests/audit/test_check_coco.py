"""Check of COCO's annotation files: what a damaged one is refused for, before training and by ``check-dataset``."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image
from pycocotools import mask as codes
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from davpt_seg.audit.coco.coco_file import read_coco
from davpt_seg.audit.coco.coco_overlays import mask_of
from davpt_seg.audit.coco.mask_findings import _decoded
from davpt_seg.audit.data_check import DataCheck
from davpt_seg.audit.preflight import check_dataset
from davpt_seg.commands.check_dataset import main_check_dataset
from davpt_seg.errors import DataError
from davpt_seg.visualization.boxes import boxes_picture

from ..coco_sets import CLASSES, SIZE, change, coco_content, write_coco, write_json

LOADERS = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", with_bbox=True, with_mask=True)]


@pytest.fixture(scope="module", autouse=True)
def _scope() -> None:
    init_default_scope("mmdet")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_coco(tmp_path / "desk")


def train_file(root: Path) -> Path:
    return root / "annotations/instances_train.json"


def config(root: Path, **more: Any) -> dict[str, Any]:
    return dict(
        type="CocoDataset",
        metainfo=dict(classes=CLASSES),
        data_root=str(root),
        ann_file="annotations/instances_train.json",
        data_prefix=dict(img="train/"),
        pipeline=LOADERS,
        **more,
    )


def annotation(number: int, **values: Any) -> Callable[[Path], None]:
    return lambda root: change(train_file(root), "annotations", number, **values)


def image(number: int, **values: Any) -> Callable[[Path], None]:
    return lambda root: change(train_file(root), "images", number, **values)


def category(number: int, **values: Any) -> Callable[[Path], None]:
    return lambda root: change(train_file(root), "categories", number, **values)


def all_boxes(changed: Callable[[float, float, float, float], list[float]]) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        content = json.loads(train_file(root).read_text())
        for each in content["annotations"]:
            each["bbox"] = changed(*each["bbox"])
        write_json(train_file(root), content)

    return damage


def text(content: str) -> Callable[[Path], object]:
    return lambda root: train_file(root).write_text(content)


def reversed_categories(root: Path) -> None:
    content = json.loads(train_file(root).read_text())
    content["categories"].reverse()
    write_json(train_file(root), content)


def turned(root: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = root / "train/train0.png"
    Image.open(path).save(path, exif=exif)


def cut(root: Path) -> None:
    path = root / "train/train0.png"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


WRONG: list[tuple[str, Callable[[Path], object], str]] = [
    ("no file", lambda root: train_file(root).unlink(), r"instances_train.json' does not exist; check data_root"),
    ("no JSON", text('{"images": ['), r"instances_train.json is no JSON: Expecting value: line 1 column 13"),
    ("a list", text("[]"), r"holds a list, as results of a prediction are; expected is COCO's format"),
    ("no categories", text('{"images": [], "annotations": []}'), r"has no 'categories', but images, annotations"),
    ("images are no list", text('{"images": 3, "annotations": [], "categories": []}'), r"'images' holds 3; expected"),
    ("no file_name", image(1, file_name=...), r"images\[1\], id 2: has no 'file_name', a path below"),
    ("a path above", image(1, file_name="../x.png"), r"file_name must be a path below the folder of the images"),
    ("no area", annotation(3, area=...), r"annotations\[3\], id 4: has no 'area'"),
    ("NaN", annotation(3, bbox=[1, 2, float("nan"), 4]), r"bbox must be four finite numbers .* got \[1, 2, nan, 4\]"),
    ("an image missing", lambda root: (root / "train/train2.png").unlink(), r"1 of 6 images are missing.*train2.png"),
    ("image twice", image(1, id=1), r"id of an image, annotation or category that is there twice.*images, id 1"),
    ("annotation twice", annotation(1, id=1), r"there twice, for instance annotations, id 1\. What to do: number them"),
    ("unknown image", annotation(1, image_id=77), r"annotation of an image that is not in the file.*image_id 77"),
    ("unknown category", annotation(1, category_id=9), r"category that is not in the file.*category_id 9"),
    ("a class missing", category(1, name="pencil"), r"class of the config that is no category.*'pen': .* 'pencil'"),
    (
        "another order",
        reversed_categories,
        r"another order than the file's.*'cup': number 0 .* 1 in the file",
    ),
    ("a name twice", category(1, name="cup"), r"category whose name is there twice.*'cup': ids 1 and 2"),
    ("a template as name", category(1, name="{{$HOME:x}}"), r"name must be a text, without '\{\{'"),
    ("normalised", all_boxes(lambda x, y, w, h: [x / 112, y / 96, w / 112, h / 96]), r"boxes are all within 0 and 1"),
    ("corners", all_boxes(lambda x, y, w, h: [x, y, x + w, y + h]), r"boxes are two corners.*subtract the first"),
    ("a negative size", annotation(2, bbox=[30, 30, -20, 10]), r"without width or height.*bbox \[30, 30, -20, 10\]"),
    ("outside", annotation(2, bbox=[300, 30, 20, 10]), r"box outside its image.*in an image of 112 x 96"),
    ("another size", image(0, width=120), r"of another size than its entry.*train0.png: 112 x 96, its entry 120 x 96"),
    ("swapped", image(0, width=96, height=112), r"width and height swapped.*its entry 96 x 112"),
    ("Exif", turned, r"turned by its Exif tag.*Exif orientation 6, .*data_check.exif=stored"),
    ("no mask", annotation(4, segmentation=...), r"without a mask, where masks are read.*annotation 5 of train2.png"),
    ("half a polygon", annotation(4, segmentation=[[1, 2, 3, 4]]), r"neither polygons nor .*polygon is \[1, 2, 3, 4\]"),
    (
        "short run lengths",
        annotation(4, segmentation=dict(size=[96, 112], counts=[5, 6])),
        r"counts sum to 11, the image has 10,752 pixels",
    ),
    ("a cut image", cut, r"1 of 6 files cannot be read.*train0.png: it is (truncated|cut off)"),
]


@pytest.mark.parametrize(("damage", "says"), [each[1:] for each in WRONG], ids=[each[0] for each in WRONG])
def test_a_damaged_file_is_refused_before_training(damage: Callable[[Path], object], says: str, root: Path) -> None:
    assert check_dataset(config(root)) == 6
    damage(root)
    with pytest.raises(DataError, match=says) as caught:
        check_dataset(config(root))
    assert "\n" not in str(caught.value)


def test_scores_need_iscrowd_and_training_does_not(root: Path) -> None:
    change(train_file(root), "annotations", 0, iscrowd=...)
    assert check_dataset(config(root)) == 6
    with pytest.raises(DataError, match="has no 'iscrowd', 0 or 1"):
        check_dataset(config(root, test_mode=True))


def test_annotations_marked_by_ignore_are_noted_with_what_makes_scores_leave_them_out(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A detector that finds all objects but the marked one misses it, unless it is a crowd."""
    file = train_file(root)

    def ap_without_the_first() -> float:
        truth = COCO(str(file))
        others = [dict(each, score=1.0) for number, each in truth.anns.items() if number != 1]
        compared = COCOeval(truth, truth.loadRes(copy.deepcopy(others)), "bbox")
        compared.evaluate(), compared.accumulate(), compared.summarize()
        return float(compared.stats[0])

    change(file, "annotations", 0, ignore=1)
    assert check_dataset(config(root, test_mode=True)) == 6
    said = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert (
        len(said) == 1 and "(1 of 12, for instance annotation 1 of train0.png). What to do: write iscrowd=1" in said[0]
    )
    dataset: Any = DATASETS.build(config(root, test_mode=True))
    assert len(dataset.get_data_info(0)["instances"]) == 1
    assert ap_without_the_first() < 1
    change(file, "annotations", 0, iscrowd=1)
    caplog.clear()
    assert check_dataset(config(root, test_mode=True)) == 6
    assert not [each for each in caplog.records if each.levelname == "WARNING"]
    assert ap_without_the_first() == pytest.approx(1)


def test_check_dataset_notes_annotations_marked_by_ignore(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    annotation(3, ignore=1)(root)
    annotation(5, ignore=1)(root)
    assert main_check_dataset(["--coco", str(train_file(root))]) == 0
    assert (
        "note: 2 x annotation marked by ignore, which training omits and a metric with ann_file"
        in capsys.readouterr().out
    )


def test_boxes_beyond_the_border_may_be_meant(root: Path) -> None:
    all_boxes(lambda x, y, w, h: [x, y, w + 60, h + 60])(root)
    with pytest.raises(DataError, match=r"beyond its image's border.*data_check.labels=warn"):
        check_dataset(config(root))
    assert check_dataset(config(root), DataCheck(labels="warn")) == 6


def test_compressed_run_lengths_are_decoded_as_pycocotools_does() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        mask = np.asfortranarray(rng.random((7, 9)) < rng.random(), np.uint8)
        code = codes.encode(mask)
        flat = mask.ravel(order="F")
        changes = np.flatnonzero(np.diff(np.concatenate([[0], flat]))).tolist()
        counts = np.diff([0, *changes, flat.size]).tolist()
        found = _decoded(code["counts"].decode())
        assert found == counts
        assert (mask_of(dict(size=[7, 9], counts=code["counts"].decode()), 7, 9) == mask.astype(bool)).all()


def paths_of(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value inside of nested lists and dicts."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield (*above, key)
        yield from paths_of(value, (*above, key))


VALUES: list[Any] = [
    ...,
    None,
    "",
    "x",
    -1,
    0,
    7,
    2.5,
    1e300,
    10**400,
    float("nan"),
    True,
    [],
    {},
    [[]],
    "../x",
    [1] * 4,
]


def test_a_file_with_one_damaged_value_is_refused_or_read_with_the_right_labels(root: Path) -> None:
    whole = json.loads(train_file(root).read_text())
    truth = {each["id"]: each for each in COCO(str(train_file(root))).anns.values()}
    places = list(paths_of(whole))
    rng = random.Random(0)
    messages = []
    for _ in range(250):
        path, value = rng.choice(places), rng.choice(VALUES)
        write_json(train_file(root), whole)
        node = json.loads(train_file(root).read_text())
        content, inner = node, node
        for key in path[:-1]:
            inner = inner[key]
        if value is ...:
            del inner[path[-1]]
        else:
            inner[path[-1]] = value
        write_json(train_file(root), content)
        try:
            check_dataset(config(root))
        except DataError as error:
            messages.append(str(error))
            continue
        dataset: Any = DATASETS.build(config(root))
        for number in range(len(dataset)):
            assert dataset[number]["gt_bboxes_labels"].tolist() == [
                each["bbox_label"] for each in dataset.get_data_info(number)["instances"]
            ], path
            for each in dataset.get_data_info(number)["instances"]:
                x, y, right, bottom = each["bbox"]
                same = [t for t in truth.values() if t["bbox"] == [x, y, right - x, bottom - y]]
                changed = path[0] == "annotations" and path[2:3] in (("bbox",), ("category_id",))
                assert changed or {CLASSES[each["bbox_label"]]} == {CLASSES[t["category_id"] - 1] for t in same}, path
    assert 100 < len(messages) < 250
    assert not [text for text in messages if "\n" in text or len(text) > 1200]


@pytest.mark.parametrize("scale", [1, 0.5])
def test_overlays_name_the_objects_in_a_colour_for_each_class(
    scale: float, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pycocotools decodes the masks of the image as it is; a larger one than ``SIDE`` is reduced."""
    drawn: list[Any] = []
    overlays = "davpt_seg.audit.coco.coco_overlays"
    monkeypatch.setattr(f"{overlays}.boxes_picture", lambda *given: drawn.append(given) or boxes_picture(*given))
    monkeypatch.setattr(f"{overlays}.SIDE", SIZE[0] * scale)
    path = str(train_file(root))
    more = [dict(id=number, name=f"class {number}") for number in range(3, 41)]
    change(train_file(root), categories=[*json.loads(Path(path).read_text())["categories"], *more])
    main_check_dataset(["--coco", path, "--overlays", str(tmp_path / "drawn"), "--show", "1"])
    image, found, names, palette, _, _, texts = drawn[0]
    coco = COCO(path)
    truth = sorted(coco.loadAnns(coco.getAnnIds(imgIds=[1])), key=lambda each: each["area"])  # small ones are on top
    assert image.shape == (SIZE[1] * scale, SIZE[0] * scale, 3)
    assert texts == [CLASSES[each["category_id"] - 1] for each in truth] == [names[label] for label in found.labels]
    assert len({tuple(colour) for colour in palette.tolist()}) == len(names) == 40
    assert found.boxes.tolist() == [[scale * side for side in corners(each["bbox"])] for each in truth]
    step = round(1 / scale)
    for mask, each in zip(found.masks, truth):
        expected = coco.annToMask(each)[step // 2 :: step, step // 2 :: step]
        assert mask.any() and (mask != expected).mean() < (0.02 if scale == 1 else 0.05)


def corners(box: list[int]) -> list[int]:
    left, top, width, height = box
    return [left, top, left + width, top + height]


def test_check_dataset_reports_all_findings_of_a_file(
    root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = str(train_file(root))
    assert main_check_dataset(["--coco", path, "--overlays", str(tmp_path / "drawn"), "--show", "2"]) == 0
    out = capsys.readouterr().out
    assert "12 objects, 12 with masks" in out and "complete: every image was read" in out
    lines = dict(line.split()[:2] for line in out.splitlines() if line.startswith(CLASSES))
    counts = {each["name"]: len(COCO(path).getAnnIds(catIds=[each["id"]])) for each in coco_content([])["categories"]}
    assert {name: int(count) for name, count in lines.items()} == counts
    drawn = sorted((tmp_path / "drawn/instances_train").iterdir())
    assert len(drawn) == 2 and all(Image.open(each).width > SIZE[0] for each in drawn)
    annotation(2, bbox=[300, 30, 20, 10])(root)
    image(5, width=100)(root)
    (root / "train/train3.png").unlink()
    assert main_check_dataset(["--coco", path, "--images", str(root / "train")]) == 1
    out = capsys.readouterr().out
    for part in ("1 x listed image missing", "1 x box outside its image", "1 x image of another size than its entry"):
        assert f"PROBLEM {part}" in out
    assert "3 problems" in out


def test_images_in_the_folder_beside_annotations_are_found(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, wrong = str(train_file(root)), root / "val"
    assert main_check_dataset(["--coco", path, "--images", str(wrong)]) == 1
    assert f"images of these names are in {root / 'train'}: set data_prefix.img, or give" in capsys.readouterr().out


def test_the_table_of_objects_has_the_complete_name_of_a_file(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = train_file(root).rename(root / "train/_annotations.coco_of_the_second_desk.json")
    main_check_dataset(["--coco", str(path), "--images", str(root / "train")])
    table = capsys.readouterr().out.splitlines()
    head = next(number for number, line in enumerate(table) if line.endswith("objects   images"))
    assert table[head].split() == [path.stem, "objects", "images"]
    assert len(table[head]) == len(table[head + 1])


def test_a_supercategory_without_objects_is_noted_with_what_to_do(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(train_file(root).read_text())
    for each in content["categories"]:
        each["supercategory"] = "desk"
    content["categories"].insert(0, dict(id=0, name="desk", supercategory="none"))
    write_json(train_file(root), content)
    command = ["--coco", str(train_file(root)), "--images", str(root / "train")]
    main_check_dataset(command)
    said = capsys.readouterr().out
    assert "note: 'desk' has no object and is the supercategory of other categories, as Roboflow writes" in said
    assert "omit it from metainfo.classes in a config" in said
    content["annotations"][0]["category_id"] = 0
    write_json(train_file(root), content)
    main_check_dataset(command)
    assert "'desk' has no object" not in capsys.readouterr().out


def test_an_image_in_training_and_validation_is_a_problem(root: Path, tmp_path: Path) -> None:
    for name in ("val0.png", "val1.png"):
        (root / "val" / name).write_bytes((root / "train/train0.png").read_bytes())
    words = f"method=linear,head=fcos_small,trunk=vitti,data=coco_folder:{root},schedule=adamw_iters"
    report = tmp_path / "report.json"
    assert main_check_dataset([words, "--json", str(report)]) == 1
    assert {finding["kind"] for finding in json.loads(report.read_text())["shared"]} == {"same content"}


def test_the_file_is_read_as_it_is(root: Path) -> None:
    coco = read_coco(str(train_file(root)))
    oracle = COCO(str(train_file(root)))
    assert coco.by_id == oracle.imgs and coco.annotations == list(oracle.anns.values())
