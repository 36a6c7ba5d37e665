"""Environment variables in config files: any value is read as it is, or refused with the variable's name."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest
from mmengine.config import Config

from davpt_seg.audit.preflight import check_dataset
from davpt_seg.datasets.roots import about_root, source_of
from davpt_seg.errors import DataError, InputError
from davpt_seg.experiments.compose import config_of
from davpt_seg.experiments.environment import read_with_variables

PYTHON = """root = "{{$MY_ROOT:data/x}}"  # {{$MY_ROOT:data/x}}
single = '{{$MY_ROOT:data/x}}/images'
triple = \'\'\'{{ $MY_ROOT : data/x }}\'\'\'
formatted = f"{1 + 1}{{$MY_ROOT:data/x}}"
"""
ODD = [
    *(
        r"C:\data\new",
        r"C:\data\1",
        "it's",
        'a "quote"',
        "both '\"",
        "two\nlines",
        "tab\t",
        "blank s",
        "a#b",
        "{x}",
        "}}",
    ),
    *("\\", r"\g<1>", "ends in \\", "Ünïcode", "%s", "$HOME", "'" * 3, '"' * 3),
]


@pytest.mark.parametrize("value", ODD)
def test_a_value_is_read_as_it_is(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_ROOT", value)
    (tmp_path / "base.py").write_text(PYTHON)
    (tmp_path / "config.py").write_text("_base_ = ['base.py']\nown = dict(a=['{{$MY_ROOT:data/x}}'])\n")
    (tmp_path / "config.json").write_text('{"root": "{{$MY_ROOT:data/x}}", "a": ["b"]}')
    (tmp_path / "config.yaml").write_text('root: "{{$MY_ROOT:data/x}}"\na: [b]\n')
    cfg = read_with_variables(tmp_path / "config.py")
    assert cfg.to_dict() == dict(
        root=value, single=f"{value}/images", triple=value, formatted=f"2{value}", own=dict(a=[value])
    )
    saved = tmp_path / "saved.py"
    cfg.dump(saved)
    assert read_with_variables(saved).to_dict() == cfg.to_dict()
    for name in ("config.json", "config.yaml"):
        assert read_with_variables(tmp_path / name).root == value
    assert config_of("method=linear,data=ade20k").train_dataloader.dataset.data_root  # and MMEngine is as before
    monkeypatch.setenv("ADE20K_ROOT", value)
    assert config_of("method=linear,data=ade20k").train_dataloader.dataset.data_root == value
    assert config_of("davpt/upernet_vitl_ade20k").train_dataloader.dataset.data_root == value


def test_any_value_is_read_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(0)
    (tmp_path / "config.py").write_text(PYTHON)
    for _ in range(100):
        value = "".join(random.choices("ab1 \\'\"\n\r\t{}$:#%ünN\u2028", k=random.randrange(1, 9)))
        monkeypatch.setenv("MY_ROOT", value)
        if "{{" in value:
            with pytest.raises(InputError, match="variable MY_ROOT is "):
                read_with_variables(tmp_path / "config.py")
        else:
            cfg = read_with_variables(tmp_path / "config.py")
            assert (cfg.root, cfg.single, cfg.triple) == (value, f"{value}/images", value)


def test_without_the_variable_a_config_is_what_mmengine_makes_of_it(tmp_path: Path) -> None:
    text = PYTHON + "count = {{'$COUNT:80'}}\n"
    (tmp_path / "config.py").write_text(text)
    ours, theirs = read_with_variables(tmp_path / "config.py"), Config.fromfile(tmp_path / "config.py")
    assert ours.to_dict() == theirs.to_dict() and ours.count == 80
    assert ours.text == theirs.text


def test_a_number_is_set_by_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.py").write_text("count = {{'$COUNT:80'}}\n")
    for value, read in (("20", 20), ("['a', 'b']", ["a", "b"])):
        monkeypatch.setenv("COUNT", value)
        assert read_with_variables(tmp_path / "config.py")["count"] == read


@pytest.mark.parametrize(
    ("text", "value", "said"),
    [
        ("a = {{'$MY_ROOT:80'}}", "it's", 'MY_ROOT is "it\'s", and the config has it outside of quotes'),
        ("a = r'{{$MY_ROOT:x}}'", "it's", 'MY_ROOT is "it\'s", and the config has it in a text r'),
        ("a = '{{$MY_ROOT:x}}'", "{{$HOME:x}}", "MY_ROOT is '{{$HOME:x}}', in which configs read"),
        ("a = '{{$MY_ROOT:x}}'", os.fsdecode(b"\xff"), r"MY_ROOT is not UTF-8: b'\xff'"),
        ("a = '{{$MY_ROOT:x}}'", "", "MY_ROOT is empty"),
        ("a = '{{$NOT_SET_ROOT:}}'", "", "NOT_SET_ROOT is not set, and the config has no default"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_the_variable(
    text: str, value: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_ROOT", value)
    (tmp_path / "config.py").write_text(text)
    with pytest.raises(InputError) as error:
        config_of(tmp_path / "config.py")
    assert f"variable {said}" in str(error.value)


def test_the_variable_of_a_folder_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FGVC_ROOT", raising=False)
    cfg = config_of("method=davpt,trunk=vitb_mae,data=fgvc/cub,lr=1e-3,epochs=50")
    root = cfg.train_dataloader.dataset.data_root
    assert source_of(root) == ("FGVC_ROOT", None, "data/fgvc")
    monkeypatch.setenv("FGVC_ROOT", "/x/fgvc/")
    assert source_of("/x/fgvc//CUB_200_2011") == ("FGVC_ROOT", "/x/fgvc/", "data/fgvc")
    assert source_of("/elsewhere") is None and about_root("/elsewhere") == ""


@pytest.mark.parametrize(
    ("words", "name", "default"),
    [
        ("data=ade20k", "ADE20K_ROOT", "data/ade/ADEChallengeData2016"),
        ("data=pascal_context", "PASCAL_CONTEXT_ROOT", "data/VOCdevkit/VOC2010"),
        ("data=camvid_168x224", "CAMVID_ROOT", "data/camvid"),
        ("data=vtab/dtd", "VTAB_ROOT", "data/vtab-1k"),
        ("data=fgvc/dogs", "FGVC_ROOT", "data/fgvc"),
    ],
)
def test_a_missing_root_is_named_with_the_folder_that_was_looked_in(
    words: str, name: str, default: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    trunk = "trunk=vits14,head=linear," if "/" not in words else "trunk=vitb_mae,"
    cfg = config_of(f"method=davpt,{trunk}{words}")
    for split in ("train", "val", "test"):
        with pytest.raises(DataError) as error:
            check_dataset(cfg[f"{split}_dataloader"].dataset)
        said = f"variable {name} is not set, so that the default {default!r} is looked for in {tmp_path}. Set it"
        assert said in str(error.value)
    monkeypatch.setenv(name, "no where")
    cfg = config_of(f"method=davpt,{trunk}{words}")
    with pytest.raises(DataError, match=f"variable {name} is 'no where', looked for in {tmp_path}. Set it"):
        check_dataset(cfg.train_dataloader.dataset)
