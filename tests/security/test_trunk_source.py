"""A stranger's checkpoint without its ViT causes no reading, download or running but of a local file of weights."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config

from davpt_seg.apis.predictor import Predictor
from davpt_seg.errors import InputError
from davpt_seg.models import prompted_vit
from davpt_seg.trust.trunk_source import MOST_BYTES, set_source, unsafe_source

from ..checkpoints import Trained, with_model
from .attacks import CALLS

Source = dict[str, Any]


def pipe(folder: Path) -> Source:
    os.mkfifo(folder / "pipe.pth")  # which would wait for ever
    return dict(weights=str(folder / "pipe.pth"))


def device(folder: Path) -> Source:
    (folder / "zero.safetensors").symlink_to("/dev/zero")  # which never ends
    return dict(weights=str(folder / "zero.safetensors"))


def folder_of_that_name(folder: Path) -> Source:
    (folder / "a.pth").mkdir()
    return dict(weights=f"{folder}/a.pth")


def huge(folder: Path) -> Source:
    (folder / "huge.pth").touch()
    os.truncate(folder / "huge.pth", MOST_BYTES + 1)  # on disk, it takes no place
    return dict(weights=dict(path=str(folder / "huge.pth")))


def pickled(folder: Path) -> Source:
    torch.save({}, folder / "vit.pth")
    return dict(weights=dict(path=str(folder / "vit.pth"), trust_pickle=True))


def file_and_hub(folder: Path) -> Source:
    torch.save({}, folder / "vit.pth")
    return dict(weights=str(folder / "vit.pth"), pretrained=True)


def hub(**timm_kwargs: Any) -> Source:
    return dict(weights=None, pretrained=True, timm_kwargs=dict(depth=2, **timm_kwargs))


ATTACKS: dict[str, tuple[Callable[[Path], Source], str]] = {
    "pipe": (pipe, "is no regular file"),
    "link to a device": (device, "is no regular file"),
    "folder": (lambda folder: dict(weights=str(folder.parent / f"{folder.name}/..")), "must end in one of"),
    "folder named as a file": (folder_of_that_name, "is no regular file"),
    "device": (lambda _: dict(weights="/dev/zero"), "must end in one of"),
    "private file": (lambda _: dict(weights="../../../../../../etc/passwd"), "must end in one of"),
    "huge file": (huge, "has 16 GiB, more than 16"),
    "address": (lambda _: dict(weights="https://example.org/vit.pth"), "is no local file"),
    "address of a file": (lambda _: dict(weights="file:///tmp/vit.pth"), "is no local file"),
    "bucket": (lambda _: dict(weights=dict(path="s3://bucket/vit.safetensors")), "is no local file"),
    "another machine": (lambda _: dict(weights=r"\\host\share\vit.pth"), "is no local file"),
    "another machine, slashes": (lambda _: dict(weights="//host/share/vit.pth"), "is no local file"),
    "name that is too long": (lambda _: dict(weights="a" * 5000 + ".pth"), "is not here"),
    "number": (lambda _: dict(weights=3), "is no local file"),
    "no path": (lambda _: dict(weights=dict(which="teacher")), "is no local file"),
    "trusted pickle": (pickled, "asks for more than reading a file as data"),
    "unknown option": (lambda _: dict(weights=dict(path="a.pth", run="x")), "asks for more than reading a file"),
    "two sources": (file_and_hub, "names two sources"),
    "no source": (lambda _: dict(weights=None), "names no weights"),
    "pretrained that is no bool": (lambda _: dict(weights=None, pretrained="yes"), "names no weights"),
    "another hub's weights by timm": (lambda _: hub(pretrained_cfg_overlay=dict(hf_hub_id="x")), "would change"),
    "another file's weights by timm": (lambda _: hub(pretrained_cfg=dict(file="x")), "would change what timm reads"),
    "another cache": (lambda _: hub(cache_dir="x"), "would change what timm reads"),
    "a model that is not timm's": (lambda _: dict(hub(), model_name="vit_of_mine"), "is none"),
}
#: What is refused as part of any config.
EARLIER = {
    "another hub": dict(hub(), model_name="hf-hub:someone/else"),
    "another hub, as timm's": dict(hub(), model_name="hf-hub:timm/../someone/else"),
    "folder as a hub": dict(hub(), model_name="local-dir:evil"),
    "repository by timm": hub(pretrained_cfg_overlay=dict(hf_hub_id="someone/else")),
    "file by timm": hub(checkpoint_path="/dev/zero"),
}


@pytest.fixture
def nothing_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where a ViT is built with weights."""

    def build(model_name: str, pretrained: bool, weights: Any, timm_kwargs: Any) -> Any:
        assert not pretrained and not weights
        return real(model_name, pretrained, weights, timm_kwargs)

    real = prompted_vit.build_trunk
    monkeypatch.setattr(prompted_vit, "build_trunk", build)


def evil(slim: Trained, folder: Path, source: Source, bare: bool = False) -> str:
    """Write the checkpoint with another source in its config."""
    cfg, content = Config.fromfile(slim.config), torch.load(slim.checkpoint)
    timm_kwargs = {**cfg.model.backbone.timm_kwargs, **source.get("timm_kwargs", {})}
    cfg.model.backbone = dict(cfg.model.backbone.to_dict(), **{**source, "timm_kwargs": timm_kwargs})
    with_model(content, cfg)
    if bare:  # the layout of a state dict, which MMEngine reads, too
        content = {**content, **content.pop("state_dict")}
    torch.save(content, folder / "evil.pth")
    return str(folder / "evil.pth")


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_source_that_is_more_than_a_local_file_is_not_read(
    attack: str, slim: Trained, nothing_read: None, tmp_path: Path
) -> None:
    make, said = ATTACKS[attack]
    source = make(tmp_path)
    model_name = Config.fromfile(slim.config).model.backbone.model_name
    assert said in unsafe_source(dict(dict(model_name=model_name), **source))
    with pytest.raises(InputError, match=re.escape(said)) as refused:
        Predictor(evil(slim, tmp_path, source), device="cpu")
    assert "needs the weights of the file 'vit.safetensors'" in str(refused.value)
    assert "Name them: --trunk FILE" in str(refused.value)


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("attack", ["pipe", "link to a device", "trusted pickle", "another cache", "address"])
def test_openmmlabs_inferencers_do_not_read_it_either(
    attack: str, bare: bool, slim: Trained, nothing_read: None, tmp_path: Path
) -> None:
    from mmseg.apis import MMSegInferencer

    path = evil(slim, tmp_path, ATTACKS[attack][0](tmp_path), bare)
    with pytest.raises(InputError, match="saved without its frozen ViT and needs the weights of the file"):
        MMSegInferencer(None, weights=path, device="cpu")


@pytest.mark.parametrize("attack", EARLIER)
def test_a_model_of_another_hub_is_refused_with_its_config(
    attack: str, slim: Trained, nothing_read: None, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"names a file or an address|would change what timm reads"):
        Predictor(evil(slim, tmp_path, EARLIER[attack]), device="cpu")
    with pytest.raises(InputError, match=r"names a file or an address|would change what timm reads"):
        Predictor(evil(slim, tmp_path, EARLIER[attack]), device="cpu", trunk="pretrained")


def test_a_file_is_read_as_data_alone(slim: Trained, trap: Path, tmp_path: Path) -> None:
    torch.save(CALLS["getattr chain from HistoryBuffer"](trap), tmp_path / "vit.pth")
    path = evil(slim, tmp_path, dict(weights=str(tmp_path / "vit.pth")))
    with pytest.raises(InputError, match=r"vit\.pth' (is broken|holds more than)"):
        Predictor(path, device="cpu")
    with pytest.raises(InputError, match=r"vit\.pth' (is broken|holds more than)"):
        Predictor(slim.checkpoint, device="cpu", trunk=tmp_path / "vit.pth")


def test_options_of_a_file_that_the_user_names_are_the_users(slim: Trained, tmp_path: Path) -> None:
    """The config's network and resampling stay; trust does not."""
    evil_source = dict(weights=dict(path="/nowhere", trust_pickle=True, resample_patch=True))
    predictor = Predictor(evil(slim, tmp_path, evil_source), device="cpu", trunk=slim.weights)
    assert predictor.model.backbone._source[2] == dict(path=slim.weights, resample_patch=True)


def test_a_local_file_that_the_config_names_is_taken_if_its_fingerprint_is_right(slim: Trained, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "vit.safetensors").symlink_to(slim.weights)
    path = evil(slim, tmp_path, dict(weights=f"{tmp_path}/below/../vit.safetensors"))
    expected = Predictor(slim.checkpoint, device="cpu")(slim.images[0])
    assert np.array_equal(Predictor(path, device="cpu")(slim.images[0]), expected)


def test_weights_without_a_vit_and_without_a_record_of_it_predict_nothing(
    slim: Trained, nothing_read: None, tmp_path: Path
) -> None:
    from mmseg.apis import MMSegInferencer

    content = torch.load(evil(slim, tmp_path, dict(weights=slim.weights)))
    del content["state_dict"]["backbone.frozen_trunk"]
    torch.save(content, tmp_path / "evil.pth")
    with pytest.raises(InputError, match="Missing key"):
        Predictor(tmp_path / "evil.pth", device="cpu")
    inferencer = MMSegInferencer(None, weights=str(tmp_path / "evil.pth"), device="cpu")
    with pytest.raises(RuntimeError, match="the ViT still has random weights"):
        inferencer(slim.images[0])


@pytest.mark.parametrize(
    ("trunk", "expected"),
    [
        (Path("other.pth"), dict(weights=dict(which="teacher", path="other.pth"), pretrained=False)),
        ("pretrained", dict(weights=None, pretrained=True)),
    ],
)
def test_another_copy_of_a_file_is_read_as_the_first_was_but_never_unpickled(trunk: Any, expected: Source) -> None:
    config = Config(dict(backbone=dict(weights=dict(path="vit.pth", which="teacher", trust_pickle=True))))
    set_source(config.backbone, trunk)
    assert config.backbone.to_dict() == expected
