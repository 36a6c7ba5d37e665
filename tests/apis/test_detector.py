"""Detector: boxes of the image as given, from checkpoints and adapter folders; the AP of its results is the test's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from PIL import Image

pytest.importorskip("mmdet")

from pycocotools import mask as encoding
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from davpt_seg.apis import Detector, Predictor, load_adapter, load_trained
from davpt_seg.apis.adapter_export import export_adapter
from davpt_seg.commands.predict import main_predict
from davpt_seg.commands.test import main_test
from davpt_seg.errors import InputError
from davpt_seg.training.alike import difference
from davpt_seg.visualization.detections import Detections

from ..checkpoints import Trained
from ..detectors import SIZE, Tiny, annotate, tiny_detector


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """A small FCOS."""
    with pytest.MonkeyPatch.context() as patch:
        return tiny_detector(tmp_path_factory.mktemp("detector"), patch)


@pytest.fixture(scope="module")
def detector(tiny: Tiny) -> Detector:
    return Detector(tiny.checkpoint, device="cpu")


def equal(one: Detections, two: Detections) -> bool:
    arrays = [(one.boxes, two.boxes), (one.scores, two.scores), (one.labels, two.labels)]
    return all(np.array_equal(*pair) for pair in arrays) and len(one) > 0


def test_boxes_are_in_pixels_of_the_image_as_given(tiny: Tiny, detector: Detector) -> None:
    """The pipeline enlarges 96 x 128 to 168 x 224: the model's own boxes, divided by 1.75, are the detector's."""
    found = detector(tiny.images[0])
    data = detector.model.data_preprocessor(
        pseudo_collate([detector.pipeline(dict(img=detector.read(tiny.images[0])))]), False
    )
    assert data["data_samples"][0].img_shape == (168, 224)
    with torch.no_grad():
        (sample,) = detector.model.predict(data["inputs"], data["data_samples"], rescale=False)
    order = sample.pred_instances.scores.sort(descending=True, stable=True).indices
    np.testing.assert_allclose(found.boxes, sample.pred_instances.bboxes[order] / 1.75, rtol=1e-5, atol=1e-4)
    assert found.boxes.min() >= 0 and (found.boxes <= (SIZE[1], SIZE[0]) * 2).all()
    assert (np.diff(found.scores) <= 0).all() and found.labels.max() < len(detector.classes) == 10


def test_a_file_a_pil_image_a_tensor_and_an_array_are_the_same_image(tiny: Tiny, detector: Detector) -> None:
    path = tiny.images[0]
    pixels = np.asarray(Image.open(path))
    rgb = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    given: list[Any] = [path, Path(path), Image.open(path), rgb, pixels[..., ::-1]]
    first, *others = detector(given)
    assert all(equal(first, other) for other in others)


def test_objects_above_a_threshold_are_the_first_ones(detector: Detector, tiny: Tiny) -> None:
    found = detector(tiny.images[0])
    kept = found.above(float(found.scores[3]))
    assert len(kept) == int((found.scores >= found.scores[3]).sum()) < len(found)
    assert np.array_equal(kept.boxes, found.boxes[: len(kept)])


def test_masks_have_the_images_size_and_survive_run_length_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = tiny_detector(tmp_path, monkeypatch, "mask_rcnn", count=1)
    found = Detector(tiny.checkpoint, device="cpu")(tiny.images[0])
    assert found.masks is not None and found.masks.shape == (len(found), *SIZE) and found.masks.dtype == bool
    rows = json.loads(json.dumps(found.coco(7, range(10, 20))))
    decoded = np.stack([encoding.decode(row["segmentation"]) for row in rows]).astype(bool)
    assert np.array_equal(decoded, found.masks) and found.masks.any()
    assert [row["category_id"] for row in rows] == [10 + label for label in found.labels]


def test_another_process_finds_the_same_with_the_adapter_folder_bit_for_bit(
    tiny: Tiny, detector: Detector, tmp_path: Path
) -> None:
    weights = tmp_path / "vit.pth"
    trunk = {name: value for name, value in detector.model.backbone.trunk.state_dict().items()}
    torch.save(trunk, weights)
    done = export_adapter(tiny.checkpoint, tmp_path / "folder", trunk=str(weights))
    card = (done.folder / "README.md").read_text()
    assert "object-detection" in card and 'Detector("DIR", trunk="vit.pth")' in card and "`FCOSHead`" in card
    script = (
        "import sys, numpy as np\nfrom davpt_seg.apis import Detector\n"
        "found = Detector(sys.argv[1], trunk=sys.argv[2], device='cpu')(sys.argv[3])\n"
        "np.savez(sys.argv[4], boxes=found.boxes, scores=found.scores, labels=found.labels)\n"
    )
    arguments = [str(done.folder), str(weights), tiny.images[0], str(tmp_path / "found.npz")]
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, capture_output=True)
    with np.load(tmp_path / "found.npz") as read:
        again = Detections(read["boxes"], read["scores"], read["labels"])
    assert equal(detector(tiny.images[0]), again)
    with pytest.raises(InputError, match=r"folder' is a detector's, and this labels every pixel\. For boxes"):
        Predictor(str(done.folder), trunk=str(weights))


@pytest.mark.parametrize("head", ["fcos_small", "mask_rcnn"])
def test_a_folder_is_the_same_detector_and_another_normalisation_or_head_is_not(
    head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``davpt-seg test CONFIG FOLDER`` asks before it tests."""
    tiny = tiny_detector(tmp_path, monkeypatch, head, count=1)
    model = load_trained(tiny.config, tiny.checkpoint)
    trunk = tmp_path / "vit.pth"
    torch.save(model.backbone.trunk.state_dict(), trunk)
    folder = export_adapter(tiny.checkpoint, tmp_path / "folder", trunk=str(trunk)).folder
    loaded: Any = load_adapter(folder, trunk=str(trunk))
    assert difference(model, loaded) == ""
    regression = (model.bbox_head.conv_reg if head == "fcos_small" else model.roi_head.bbox_head.fc_reg).bias
    with torch.no_grad():
        regression.add_(1)
    assert "its predictions differ by" in difference(model, loaded)
    model.data_preprocessor.mean.add_(50)
    assert "data_preprocessor" in difference(model, loaded)


def test_pycocotools_finds_in_the_results_of_predict_the_precision_that_test_reports(
    tiny: Tiny, detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Annotations are some of what the detector finds, so that its precision is neither 0 nor 1."""
    monkeypatch.setenv("DEMO_SCENES_ROOT", str(tiny.root))
    found = {path: detector(path).coco(0, range(10)) for path in tiny.images}
    kept = {
        path: [dict(bbox=row["bbox"], category=row["category_id"]) for row in rows[::3] if min(row["bbox"][2:]) >= 2]
        for path, rows in found.items()
    }
    annotate(tiny, kept, detector.classes)
    out = tmp_path / "out"
    main_predict(
        [tiny.checkpoint, *tiny.images, "--coco", tiny.annotations, "--out", str(out), "--score-threshold", "1"]
    )
    printed = capsys.readouterr().out
    count = sum(map(len, found.values()))
    assert f"all {count} objects, {count} of them below --score-threshold 1 and not drawn" in printed
    assert len(list(out.glob("*_picture.png"))) == len(tiny.images)
    truth = COCO(tiny.annotations)
    evaluation = COCOeval(truth, truth.loadRes(str(out / "boxes.json")), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    scores = tmp_path / "scores.json"
    work = ["--work-dir", str(tmp_path / "work"), "--json", str(scores)]
    as_predict = ["--cfg-options", "test_dataloader.batch_size=1", "test_cfg.fp16=False"]
    main_test([tiny.config, tiny.checkpoint, *work, *as_predict])
    tested = json.loads(scores.read_text())
    assert 0.05 < evaluation.stats[0] < 0.95
    assert tested["coco/bbox_mAP"] == pytest.approx(evaluation.stats[0], abs=6e-4)
    assert tested["coco/bbox_mAP_50"] == pytest.approx(evaluation.stats[1], abs=6e-4)
    of_classes = [tested[f"coco/{name}_precision"] for name in detector.classes]
    assert np.mean([each for each in of_classes if each is not None]) == pytest.approx(evaluation.stats[0], abs=2e-3)
    assert tested["about"]["images"] == len(tiny.images)


def test_an_interruption_leaves_the_objects_of_the_images_before_it(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    detect, calls = Detector.detect, 0

    def interrupted(self: Detector, image: Any) -> Detections:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return detect(self, image)

    monkeypatch.setattr(Detector, "detect", interrupted)
    (tmp_path / "boxes.json").write_text("[]")  # of an earlier run
    with pytest.raises(SystemExit):
        main_predict([tiny.checkpoint, *tiny.images[:3], "--out", str(tmp_path)])
    assert "1 of 3 images" in capsys.readouterr().out
    rows = json.loads((tmp_path / "boxes.json").read_text())
    assert {row["file_name"] for row in rows} == {Path(tiny.images[0]).name}


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str], command: Any = main_predict) -> str:
    """Run a command line, which must end with an error, and return what it said."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        command(arguments)
    assert ended.value.code == 2
    return " ".join(capsys.readouterr().err.split())


def test_options_of_another_task_are_refused(
    tiny: Tiny, trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tiny.images[0]
    for option in (["--tta"], ["--mode", "whole"]):
        assert f"{option[0]} is for segmentation" in error_of([tiny.checkpoint, image, *option], capsys)
    for option in (["--score-threshold", "0"], ["--coco", "a.json"]):
        assert f"{option[0]} is for detection" in error_of([trained.checkpoint, trained.images[0], *option], capsys)
    assert "must be from 0" in error_of([tiny.checkpoint, image, "--score-threshold", "30"], capsys)
    with pytest.raises(InputError, match="is a segmentor's, and this finds boxes"):
        Detector(trained.checkpoint)
    work = ["--work-dir", str(tmp_path / "work")]
    for option in (["--tta"], ["--confusion-matrix", "a.png"], ["--out", "labels"]):
        found = error_of([tiny.config, tiny.checkpoint, *option, *work], capsys, main_test)
        assert f"{option[0]} is for segmentation" in found and "finds boxes" in found


def test_annotations_without_an_image_or_a_class_give_no_ids(
    tiny: Tiny, detector: Detector, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[dict[str, Any]] = [dict(id=number, name=name) for number, name in enumerate(detector.classes)]
    image = [dict(id=1, file_name="0000.png")]
    files = {
        "no categories brick": dict(images=image, categories=rows[1:]),
        "lists no image 0000.png": dict(images=[], categories=rows),
        "two images have the same 'file_name'": dict(images=image * 2, categories=rows),
        "with 'categories' as a list": dict(images=image),
        "cannot be read as a COCO file": None,
    }
    for message, content in files.items():
        path = tmp_path / "annotations.json"
        path.write_text(json.dumps(content) if content else "{")
        out = tmp_path / "out"
        found = error_of([tiny.checkpoint, tiny.images[0], "--coco", str(path), "--out", str(out)], capsys)
        assert message in found and not out.exists()
