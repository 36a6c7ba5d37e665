"""Trained models for Python users."""

from __future__ import annotations

from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate

from davpt_seg.apis import Predictor, load_trained, save_adapter
from davpt_seg.apis.open_trained import image_steps
from davpt_seg.apis.open_trained import test_steps as steps_of
from davpt_seg.errors import InputError

from ..checkpoints import Trained


def test_a_loaded_model_labels_images_as_the_predictor_does(trained: Trained) -> None:
    cfg = Config.fromfile(trained.config)
    cfg.model.backbone.weights = None
    before = cfg.to_dict()
    model = load_trained(cfg, trained.checkpoint)
    assert not model.training
    assert cfg.to_dict() == before
    pixels = mmcv.imread(trained.images[0])
    with torch.no_grad():
        (sample,) = model.test_step(pseudo_collate([Compose(image_steps(steps_of(cfg)))(dict(img=pixels))]))
    found = sample.pred_sem_seg.data.squeeze(0).cpu().numpy()
    np.testing.assert_array_equal(found, Predictor(trained.checkpoint, device="cpu")(pixels))


def test_a_loaded_model_is_saved_as_an_adapter_with_its_classes(trained: Trained, tmp_path: Path) -> None:
    model = load_trained(trained.config, trained.checkpoint)
    folder = save_adapter(model, tmp_path / "street")
    again, expected = Predictor(folder, device="cpu", trunk=model.backbone), Predictor(trained.checkpoint, device="cpu")
    assert again.classes == expected.classes
    np.testing.assert_array_equal(again(trained.images[0]), expected(trained.images[0]))


def test_a_model_takes_only_its_own_checkpoint(trained: Trained, tmp_path: Path) -> None:
    cfg = Config.fromfile(trained.config)
    cfg.model.backbone.update(weights=None, prompts=dict(num_prompts=3))
    with pytest.raises(InputError, match=r"epoch_1\.pth' is not of .*config\.py"):
        load_trained(cfg, trained.checkpoint)
    with pytest.raises(InputError, match="does not exist"):
        load_trained(cfg, str(tmp_path / "none.pth"))


def test_configs_are_named_as_on_the_command_line_and_paths_may_be_paths(trained: Trained) -> None:
    checkpoint, config = Path(trained.checkpoint), Path(trained.config)
    expected = Predictor(trained.checkpoint, device="cpu")(trained.images[0])
    np.testing.assert_array_equal(Predictor(checkpoint, config, device="cpu")(Path(trained.images[0])), expected)
    assert load_trained(config, checkpoint).state_dict().keys()
    for named in ("davpt/nowhere", "method=davppt,trunk=vits", "nowhere.py"):
        with pytest.raises(InputError, match=r"did you mean|does not exist"):
            Predictor(checkpoint, named)
        with pytest.raises(InputError, match=r"did you mean|does not exist"):
            load_trained(named, checkpoint)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (dict(), r"the config has no model, which must be a dict"),
        (dict(model=dict(type="Nope")), r"the model of this config cannot be built"),
    ],
)
def test_a_model_that_cannot_be_built_is_refused(content: dict[str, object], message: str, trained: Trained) -> None:
    with pytest.raises(InputError, match=message):
        load_trained(Config(content), trained.checkpoint)


def test_an_unknown_mode_is_refused(trained: Trained) -> None:
    with pytest.raises(InputError, match="mode must be 'slide' or 'whole', got 'slid'"):
        Predictor(trained.checkpoint, mode="slid")
