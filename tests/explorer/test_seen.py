"""What the explorer says about an image, on trained checkpoints: predictions, patches, attention, and bad images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from davpt_seg.apis import Predictor
from davpt_seg.errors import InputError
from davpt_seg.explorer.collection import Collection
from davpt_seg.explorer.nearest import nearest_patches
from davpt_seg.explorer.opened import Opened
from davpt_seg.visualization import prompt_attention

from ..checkpoints import Trained


@pytest.fixture(scope="module")
def model(trained: Trained) -> Opened:
    return Opened(trained.checkpoint)


def test_labels_are_the_predictors_and_pixels_the_files(trained: Trained, model: Opened) -> None:
    image = trained.images[0]
    seen = model.look(image)
    assert np.array_equal(seen.labels, Predictor(trained.checkpoint)(image))
    assert np.array_equal(seen.pixels, model.look(seen.pixels).pixels)  # RGB in, RGB out
    assert seen.pixels.shape[:2] == seen.labels.shape


def test_probabilities_add_up_and_agree_with_the_labels_of_patches_of_one_class(
    trained: Trained, model: Opened
) -> None:
    seen = model.look(trained.images[0])
    rows, columns = seen.grid
    of_one_class = 0
    for row in range(rows):
        for column in range(columns):
            found = seen.class_probabilities(row, column)
            assert found.shape == (len(model.classes),)
            assert found.sum() == pytest.approx(1, abs=1e-5)
            x0, y0, x1, y1 = seen.box_of(row, column)
            inside = np.unique(seen.labels[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))])
            if len(inside) == 1:
                of_one_class += 1
                assert found.argmax() == inside[0]
    assert of_one_class > 0


def test_shares_are_those_of_prompt_attention_on_the_image_of_the_test_pipeline(
    trained: Trained, model: Opened
) -> None:
    seen = model.look(trained.images[0])
    predictor = Predictor(trained.checkpoint)
    data = predictor.pipeline(dict(img=predictor.read(trained.images[0])))
    images = predictor.model.data_preprocessor(
        dict(inputs=[data["inputs"]], data_samples=[data["data_samples"]]), False
    )["inputs"]
    for block in range(model.depth):
        expected = prompt_attention(predictor.model.backbone, images, block)[0].numpy()  # (M, h, w)
        assert seen.grid == expected.shape[1:]
        for prompt in (0, model.prompts[block] - 1):
            np.testing.assert_allclose(seen.patch_map(block, prompt), expected[prompt], rtol=1e-5)
        np.testing.assert_allclose(seen.prompt_shares(block, 1, 2), expected[:, 1, 2], rtol=1e-5)
        assert seen.strength(block, 1, 2) == pytest.approx(expected[:, 1, 2].sum(), rel=1e-5)


def test_the_mean_over_heads_is_the_default(trained: Trained, model: Opened) -> None:
    seen = model.look(trained.images[0])
    heads = [seen.prompt_shares(1, 0, 0, head) for head in range(model.heads[1])]
    np.testing.assert_allclose(np.mean(heads, axis=0), seen.prompt_shares(1, 0, 0), rtol=1e-6)
    assert not np.allclose(heads[0], heads[1])


def test_nearest_patches_are_the_first_of_all_patches_sorted(trained: Trained, model: Opened) -> None:
    seen = [model.look(image) for image in trained.images]
    for head in (None, 1):
        found = nearest_patches(seen, 1, 3, head, count=7)
        maps = [each.patch_map(1, 3, head) for each in seen]
        every = [
            (image, row, column, float(shares[row, column]))
            for image, shares in enumerate(maps)
            for row in range(shares.shape[0])
            for column in range(shares.shape[1])
        ]
        assert [tuple(patch) for patch in found] == sorted(every, key=lambda patch: -patch[3])[:7]
    patches = sum(each.grid[0] * each.grid[1] for each in seen)
    assert len(nearest_patches(seen, 1, 3, count=10**6)) == patches


@pytest.mark.parametrize("size", [(4000, 3000), (300, 7), (5, 90), (2000, 10), (90, 1), (1, 1)])
def test_boxes_of_all_patches_tile_the_shown_image(model: Opened, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    seen = model.look(pixels)
    height, width = seen.pixels.shape[:2]
    assert max(height, width) <= 1024
    assert seen.labels is not None and seen.labels.shape == (height, width)
    (rows, columns), area = seen.grid, 0.0
    assert max(rows, columns) <= 37
    for row in range(rows):
        for column in range(columns):
            x0, y0, x1, y1 = seen.box_of(row, column)
            assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
            assert seen.patch_at((x0 + x1) / 2, (y0 + y1) / 2) == (row, column)
            area += (x1 - x0) * (y1 - y0)
    assert area == pytest.approx(height * width)
    assert seen.patch_at(-5, 10**6) == (rows - 1, 0)
    assert seen.patch_map(0, 0).shape == seen.grid
    assert np.isfinite(seen.class_probabilities(rows - 1, columns - 1)).all()


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "RGBA", "1", "YCbCr"])
def test_images_of_other_colours_are_seen(model: Opened, tmp_path: Path, mode: str) -> None:
    image = Image.new("RGB", (40, 30), (200, 30, 60)).convert(mode)
    seen = model.look(image)
    assert seen.pixels.shape == (30, 40, 3)
    if mode in ("L", "CMYK"):
        path = tmp_path / "image.jpg"
        image.save(path)
        difference = np.abs(model.look(path).pixels.astype(int) - seen.pixels)
        assert difference.max() < 12


def test_what_is_no_image_is_refused_in_one_paragraph(model: Opened, tmp_path: Path) -> None:
    Image.new("RGB", (400, 300), (1, 2, 3)).save(tmp_path / "good.png")
    broken = tmp_path / "broken.png"
    broken.write_bytes((tmp_path / "good.png").read_bytes()[:60])
    (tmp_path / "text.jpg").write_text("no image")
    wrong = [
        broken,
        tmp_path / "text.jpg",
        tmp_path / "none.jpg",
        np.zeros((3, 4), np.uint8),
        np.zeros((3, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
        Image.open(broken),
    ]
    for image in wrong:
        with pytest.raises(InputError) as refused:
            model.look(image)
        assert "\n" not in str(refused.value)


def test_a_dropped_image_is_read_as_its_file(model: Opened, tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    pixels = np.random.default_rng(0).integers(0, 4096, (30, 40, 3), np.uint16)  # 12 bits, almost black if cut to 8
    assert cv2.imwrite(str(path), pixels)
    with pytest.raises(InputError, match=r"'.*deep\.png' has 16 bits a channel"):
        model.look(path)
    with pytest.raises(InputError, match=r"^image 'deep\.png' has 16 bits a channel"):
        Collection([model], []).add("deep.png", path.read_bytes())


def test_a_model_that_diverged_is_reported(trained: Trained) -> None:
    model = Opened(trained.checkpoint)
    seen = model.look(trained.images[0])
    with torch.no_grad():
        model._vit.trunk.patch_embed.proj.weight.fill_(float("nan"))
    with pytest.raises(InputError, match="NaN or infinite values as probabilities of this image"):
        model.look(trained.images[0])
    with pytest.raises(InputError, match="NaN or infinite values as attention in block 1"):
        seen.patch_map(1, 0)


def test_places_that_do_not_exist_are_refused(trained: Trained, model: Opened) -> None:
    seen = model.look(trained.images[0])
    rows, columns = seen.grid
    with pytest.raises(InputError, match=rf"patch \({rows}, 0\) does not exist: the image has {rows} x {columns}"):
        seen.prompt_shares(0, rows, 0)
    with pytest.raises(InputError, match="head 9 does not exist: block 0 has 2 heads"):
        seen.prompt_shares(0, 0, 0, head=9)
    with pytest.raises(InputError, match="prompt -1 does not exist"):
        seen.patch_map(0, -1)
    for block in (2, -3):
        with pytest.raises(InputError, match=f"block {block} has no prompts"):
            seen.patch_map(block, 0)
    with pytest.raises(InputError, match="has no prompt 20"):
        model.classes_of_prompt(0, 20)


def test_tokens_of_blocks_are_kept_within_a_limit_and_change_no_answer(trained: Trained) -> None:
    kept, dropped = Opened(trained.checkpoint), Opened(trained.checkpoint)
    dropped._tokens._most = 0
    first, second = kept.look(trained.images[0]), kept.look(trained.images[1])
    for seen in (first, second):
        seen.patch_map(1, 0)
    size = first.grid[0] * first.grid[1] + 1
    assert kept._tokens.kept_bytes == 2 * size * 32 * 4  # what entered block 1, of both
    again = dropped.look(trained.images[0])
    for block in (1, 0, 1):
        assert np.array_equal(again.patch_map(block, 0), first.patch_map(block, 0))
    assert dropped._tokens.kept_bytes == 0


def test_attention_needs_no_gradients(trained: Trained, model: Opened) -> None:
    with torch.enable_grad():
        seen = model.look(trained.images[0])
        seen.patch_map(1, 0)
    assert all(not tokens.requires_grad for tokens in model._tokens._kept.values())
