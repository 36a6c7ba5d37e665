"""Every variant of every plan that comes with us composes, takes its options, and builds."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import DictAction
from mmengine.registry import HOOKS

from davpt_seg.benchmark.plan.plan import plan_of
from davpt_seg.benchmark.plan.reading import known_plans, read_plan, read_yaml
from davpt_seg.benchmark.plan.study import Study
from davpt_seg.experiments.compose import compose_from_words
from davpt_seg.experiments.options import check_options
from davpt_seg.experiments.shares import check_shares
from davpt_seg.training.model import build_on_meta

CELLS = [(name, setting) for name, path in known_plans().items() for setting in read_yaml(path).get("settings", [None])]

BUILT_BY_VITB = "cifar10_1k"  # the same options of the same plan, in a narrower ViT of as many blocks: composed only


def first_studies(name: str, setting: str) -> list[Study]:
    """The studies of a plan's first task and trunk."""
    found = plan_of(read_plan(known_plans()[name], setting)).studies
    return [study for study in found if (study.task, study.trunk) == (found[0].task, found[0].trunk)]


BUILT: set[str] = set()  # as text: a model that differs by its training alone is built once


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VTAB_ROOT", str(tmp_path))
    (tmp_path / "cifar10_1k").mkdir()


@pytest.mark.parametrize(("name", "setting"), CELLS)
def test_every_variant_composes_and_builds(name: str, setting: str) -> None:
    for study in first_studies(name, setting):
        run = study.search_run(study.space.example())
        cfg = compose_from_words(run.words(pruned=False))
        if study.importance is not None:
            check_shares(cfg, run.named(), study.key)
        typed = dict(option.split("=", 1) for option in run.options())
        options = {key: DictAction._parse_iterable(text) for key, text in typed.items()}
        check_options(cfg, options)
        cfg.merge_from_dict(options)
        if setting != BUILT_BY_VITB and repr(cfg.model) not in BUILT:
            BUILT.add(repr(cfg.model))
            model = build_on_meta(cfg)
            assert all(parameter.is_meta for parameter in model.parameters()), study.key
        default = [hook for name, hook in cfg.default_hooks.items() if name != "visualization"]  # wants a Runner
        for hook in [*default, *cfg.get("custom_hooks", [])]:
            HOOKS.build(dict(hook))
