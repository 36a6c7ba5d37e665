"""Small releases of the five FGVC sets, as unpacked: 3 classes, 10 training and 4 test images each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

TRAIN, TEST = 10, 4


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path, format="JPEG")


def cells(values: list) -> np.ndarray:
    """Return MATLAB's column of cells."""
    column = np.empty((len(values), 1), dtype=object)
    column[:, 0] = values
    return column


def write_birds(root: Path, ids: dict[int, str]) -> Path:
    """Write CUB or NABirds: ``ids`` are class numbers and the folders of their images; image ids have dashes."""
    lines: dict[str, list[str]] = {"images": [], "image_class_labels": [], "train_test_split": []}
    for label, folder in ids.items():
        for i in range(TRAIN + TEST):
            key, path = f"0000{label:04d}-21dc-4d0c-bfe1-{i:012d}", f"{folder}/bird_{label}_{i}.jpg"
            picture(root / "images" / path)
            lines["images"].append(f"{key} {path}")
            lines["image_class_labels"].append(f"{key} {label}")
            lines["train_test_split"].append(f"{key} {int(i < TRAIN)}")
    for name, rows in lines.items():
        (root / f"{name}.txt").write_text("".join(f"{row}\n" for row in rows))
    return root


def write_flowers(root: Path) -> Path:
    labels = np.tile([1, 2, 3], 10)
    for i in range(1, 31):
        picture(root / "jpg" / f"image_{i:05d}.jpg")
    scipy.io.savemat(root / "imagelabels.mat", {"labels": labels[None]})
    scipy.io.savemat(
        root / "setid.mat",
        {"trnid": np.arange(1, 7)[None], "valid": np.arange(7, 13)[None], "tstid": np.arange(13, 31)[None]},
    )
    return root


def write_dogs(root: Path, folder: str = "Images") -> Path:
    breeds = ["n01-Chihuahua", "n02-Maltese", "n03-Beagle"]
    for split, span in (("train", range(TRAIN)), ("test", range(TRAIN, TRAIN + TEST))):
        files = [f"{breed}/{breed[:3]}_{i}.jpg" for breed in breeds for i in span]
        for file in files:
            picture(root / folder / file)
        labels = np.repeat([1, 2, 3], len(span))[:, None]
        annotations = cells([file[:-4] for file in files])
        content = {"file_list": cells(files), "annotation_list": annotations, "labels": labels}
        scipy.io.savemat(root / f"{split}_list.mat", content)
    return root


def annotations(rows: list[dict]) -> np.ndarray:
    """Return MATLAB's 1 x N struct array."""
    kinds = [(name, object) for name in rows[0]]
    return np.array([tuple(row.values()) for row in rows], dtype=kinds)[None]


def write_cars(root: Path, nested: str = "") -> Path:
    """Write the two folders and the devkit; Kaggle's copy repeats the folder's name inside (``nested``)."""
    for split, name, count in (
        ("train", "devkit/cars_train_annos.mat", TRAIN),
        ("test", "cars_test_annos_withlabels.mat", TEST),
    ):
        rows = []
        for i in range(3 * count):
            folder = f"cars_{split}/cars_{split}" if nested else f"cars_{split}"
            picture(root / folder / f"{i + 1:05d}.jpg")
            rows.append({"bbox_x1": 1, "class": i % 3 + 1, "fname": f"{i + 1:05d}.jpg"})
        (root / "devkit").mkdir(exist_ok=True)
        scipy.io.savemat(root / name, {"annotations": annotations(rows)})
    return root


def write_car_ims(root: Path) -> Path:
    rows = []
    for i in range(3 * (TRAIN + TEST)):
        path = f"car_ims/{i + 1:06d}.jpg"
        picture(root / path)
        rows.append({"relative_im_path": path, "bbox_x1": 1, "class": i % 3 + 1, "test": int(i >= 3 * TRAIN)})
    scipy.io.savemat(root / "cars_annos.mat", {"annotations": annotations(rows)})
    return root
