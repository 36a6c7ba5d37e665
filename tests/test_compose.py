"""Experiments from their parts."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from davpt_seg.apis import main_test, main_train
from davpt_seg.apis.compose import CompositionError, compose, compose_from_words

from .test_configs import CELLS, METHODS, config_of


@pytest.mark.parametrize("name", CELLS)
def test_files_are_what_their_parts_compose(name: str) -> None:
    head, data = name.split("_vitl_")
    for method in METHODS:
        composed = compose(method, head, "vitl", data)
        assert composed.to_dict() == Config.fromfile(config_of(method, name)).to_dict(), method


def test_words_choose_parts_and_leave_the_rest_as_it_is() -> None:
    cfg = compose_from_words("data=pascal_context_59,head=setr_pup")
    assert cfg.to_dict() == compose(method="davpt", head="setr_pup", trunk="vitl", data="pascal_context_59").to_dict()
    assert cfg.filename == "davpt/setr_pup_vitl_pascal_context_59.py"


def test_a_vit_of_twelve_blocks_takes_the_last_prompt_counts() -> None:
    backbone = compose("davpt", trunk="vitb").model.backbone
    assert backbone.prompts.num_prompts == [20] * 11 + [10]
    assert backbone.guidance.blocks == [-1]
    assert compose("vpt_shallow", trunk="vitb").model.backbone.prompts.num_prompts == 20


def test_patches_of_14_pixels_change_the_crop_everywhere() -> None:
    cfg = compose(trunk="vitl14_reg")
    steps = [*cfg.train_pipeline, *cfg.train_dataloader.dataset.pipeline]
    assert [step.crop_size for step in steps if step.type == "RandomCrop"] == [(504, 504)] * 2
    assert cfg.model.test_cfg.stride == (336, 336)


def test_schedules_train_trunk_parameters_at_one_rate_and_heads_at_one() -> None:
    rates = []
    for schedule in ("released_160k", "mmseg_160k"):
        cfg = compose("full", schedule=schedule)
        wrapper = cfg.optim_wrapper
        names = ("backbone.trunk.norm.bias", "decode_head.conv_seg.bias")
        multipliers = wrapper.paramwise_cfg.custom_keys
        factors = [next((m.lr_mult for key, m in multipliers.items() if key in name), 1.0) for name in names]
        rates.append([wrapper.optimizer.lr * factor for factor in factors])
        assert cfg.param_scheduler[0].end == cfg.train_cfg.max_iters == 160_000
    assert rates[0] == pytest.approx(rates[1])
    assert rates[0] == pytest.approx([1e-3, 1e-2])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("method=davptt", "no 'davptt' in .*methods; did you mean 'davpt'.* Known: adapter, adaptformer, bias"),
        ("data=ade", "no 'ade' in .*datasets; did you mean 'ade20k'.*pascal_context_59"),
        ("head=setr_pup,trunk=vitg", "no 'setr_pup_vitg' in .*models.*setr_pup_vitb.*upernet_vits"),
        ("schedule=80k", "no '80k' in .*schedules.*mmseg_160k, released_160k"),
        (
            "method=davpt,crop=512",
            "'crop' is no part of a segmentation experiment; parts are method, head, trunk, data, schedule",
        ),
        ("method=", "'method=' is no PART=NAME"),
        ("method=davpt,method=full", "method is named twice: 'davpt' and 'full'"),
    ],
)
def test_unknown_parts_are_answered_with_the_known_ones(words: str, message: str) -> None:
    with pytest.raises(CompositionError, match=message):
        compose_from_words(words)


def test_the_command_line_takes_parts_and_prints_a_config_file(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    words = "method=bias,head=setr_pup,trunk=vits,data=pascal_context"
    with pytest.raises(SystemExit) as stopped:
        main_train([words, "--print-config", "--cfg-options", "train_dataloader.batch_size=4"])
    assert stopped.value.code == 0
    file = tmp_path / "mine.py"
    file.write_text(capsys.readouterr().out)
    wanted = compose("bias", "setr_pup", "vits", "pascal_context")
    wanted.train_dataloader.batch_size = 4
    assert Config.fromfile(file).to_dict() == wanted.to_dict()


def test_the_command_line_ends_with_the_known_parts(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    checkpoint = tmp_path / "iter_1.pth"
    checkpoint.touch()
    with pytest.raises(SystemExit):
        main_test(["method=loraa", str(checkpoint)])
    assert "there is no 'loraa'" in capsys.readouterr().err
