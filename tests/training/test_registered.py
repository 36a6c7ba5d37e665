"""A config of a package that is not installed is answered with the command that installs it."""

from __future__ import annotations

import importlib.util

import pytest
from mmengine.config import Config

from davpt_seg.errors import InputError
from davpt_seg.experiments.compose import compose_from_words
from davpt_seg.training.registered import check_registered


@pytest.fixture
def without_mmdet(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def find(name: str, package: str | None = None) -> object:
        return None if name.partition(".")[0] == "mmdet" else found(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)


@pytest.mark.usefixtures("without_mmdet")
def test_configs_and_words_of_detection_name_mmdet_where_it_is_not_installed() -> None:
    with pytest.raises(InputError, match=r"default_scope = 'mmdet' needs mmdet, .*: pip install 'mmdet>="):
        check_registered(Config(dict(default_scope="mmdet", model=dict(type="FCOS"))))
    with pytest.raises(InputError, match=r"detection needs mmdet: pip install 'mmdet>=.*' 'pycocotools>="):
        compose_from_words("method=linear,head=fcos,trunk=vitti,data=coco")
