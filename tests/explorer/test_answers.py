"""Answers to the page, and the images that it asks about."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from davpt_seg.errors import InputError
from davpt_seg.explorer import answers, collection
from davpt_seg.explorer.collection import Collection
from davpt_seg.explorer.description import describe, pictures, start_block

from .fakes import CLASSES, FakeModel
from .images import WRONG, content


def decoded(value: dict[str, Any]) -> np.ndarray:
    """Numbers of an answer, as the page reads them."""
    return np.frombuffer(base64.b64decode(value["values"]), "<u2") * (value["scale"] / 65535)


@pytest.fixture
def opened(two_images: list[Path]) -> Collection:
    return Collection([FakeModel(), FakeModel("plain", guided=False)], two_images)


def test_all_answers_are_json_with_text_keys(opened: Collection) -> None:
    parts = [describe(opened), answers.look(opened, 0, 1), answers.attention(opened, 1, 0, 2)]
    for part in [*parts, answers.nearest(opened, 0, 0, 2, 1)]:
        assert json.loads(json.dumps(part, allow_nan=False)) == json.loads(json.dumps(part))
    assert all(isinstance(key, str) for model in parts[0]["models"] for key in model["assigned"])


def test_the_first_block_is_guided_or_the_last_with_prompts(opened: Collection) -> None:
    bare = FakeModel(guided=False)
    bare.prompts = (4, 0, 0)
    assert [start_block(model) for model in (*opened.models, bare)] == [2, 2, 0]
    bare.prompts = (0, 0, 0)
    assert start_block(bare) == 2


def test_edges_of_patches_end_with_the_image(opened: Collection) -> None:
    found = answers.look(opened, 0, 1)
    assert (found["width"], found["height"]) == (32, 40)
    assert found["columns"] == [0, 16, 32]
    assert found["rows"] == [0, 16, 32, 40]


def test_a_prediction_has_paint_legend_and_the_classes_of_patches(opened: Collection) -> None:
    found = answers.look(opened, 0, 0)
    assert [label for label, _ in found["legend"]] == [0, 1, 2]
    classes = np.frombuffer(base64.b64decode(found["classes"]), "<u2").reshape(3, 4, found["top"])
    np.testing.assert_array_equal(classes[1, 0], [1, 2, 0])  # the fake's order in the second row
    np.testing.assert_allclose(decoded(found["probabilities"])[:3], [0.8, 0.15, 0.05], atol=1e-4)


def test_a_classifier_has_the_classes_of_the_image(two_images: list[Path]) -> None:
    found = answers.look(Collection([FakeModel(task="classification")], two_images), 0, 0)
    assert found["painted"] is None and found["legend"] == []
    np.testing.assert_allclose(decoded(found["probabilities"]), [0.7, 0.2, 0.1], atol=1e-4)


@pytest.mark.parametrize("heads", [True, False])
def test_attention_is_that_of_every_patch(opened: Collection, heads: bool) -> None:
    found = answers.attention(opened, 0, 0, 2, heads)
    assert found is not None
    shares = decoded(found["shares"]).reshape(found["planes"], 4, 3, 4)
    seen = opened.seen(0, 0)
    for plane, head in enumerate(range(2) if heads else [None]):
        np.testing.assert_allclose(shares[plane, :, 1, 3], seen.prompt_shares(2, 1, 3, head), atol=1e-4)
    np.testing.assert_allclose(decoded(found["strength"]), 0.575, atol=1e-4)


@pytest.mark.parametrize("block", [0, 3, -1])
def test_a_block_without_prompts_has_no_attention(opened: Collection, block: int) -> None:
    assert answers.attention(opened, 0, 0, block) is None


def test_nearest_patches_name_the_images_of_the_page(opened: Collection) -> None:
    found = answers.nearest(opened, 0, 1, 2, 3, head=0)
    assert found["images"] == 2 and len(found["patches"]) == 8
    for each in found["patches"]:
        shares = opened.seen(0, each["image"]).prompt_shares(2, each["row"], each["column"], 0)
        assert shares[3] == pytest.approx(each["share"])
    assert {each["image"] for each in found["patches"][:4]} == {0, 1}


@pytest.mark.parametrize(("name", "file", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_refused_and_leaves_no_image(opened: Collection, name: str, file: bytes, message: str) -> None:
    with pytest.raises(InputError) as refused:
        opened.add(name, file)
    assert message in str(refused.value) and "\n" not in str(refused.value)
    assert len(opened.pictures) == 2


def test_an_added_image_is_the_last(opened: Collection) -> None:
    assert opened.add("three.png", content(48, 48, "PNG")) == 2
    assert pictures(opened)[2]["name"] == "three.png"
    assert answers.look(opened, 1, 2)["width"] == 48


def test_an_image_that_the_second_model_refuses_is_not_added(
    opened: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise InputError(f"image {str(path)!r} is not taken")

    with monkeypatch.context() as patched:
        patched.setattr(opened.models[1], "look", refuse)
        with pytest.raises(InputError, match=r"^image 'three\.png' is not taken$"):
            opened.add("three.png", content(48, 48, "PNG"))
    assert len(opened.pictures) == 2
    assert opened.add("four.png", content(64, 32, "PNG")) == 2
    assert [answers.look(opened, model, 2)["width"] for model in (0, 1)] == [64, 64]


@pytest.mark.parametrize(("model", "image"), [(2, 0), (0, 2), (-1, 0)])
def test_an_unknown_image_is_a_wrong_input(opened: Collection, model: int, image: int) -> None:
    with pytest.raises(InputError, match="reload the page"):
        answers.look(opened, model, image)


def test_an_image_is_looked_at_once_and_few_stay(opened: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        answers.look(opened, 0, 0)
    assert opened.models[0].looked == 1
    monkeypatch.setattr(collection, "KEPT", 1)
    answers.look(opened, 0, 1)
    answers.look(opened, 0, 0)
    assert opened.models[0].looked == 3


def test_assigned_classes_are_in_the_description(opened: Collection) -> None:
    guided, plain = describe(opened)["models"]
    assert guided["assigned"] == {"2": [[name] for name in CLASSES] + [[]]}
    assert plain["assigned"] == {} and plain["history"] == []
