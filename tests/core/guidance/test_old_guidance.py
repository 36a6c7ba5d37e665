"""Guidance's arguments on one level, as up to version 0.3, are those that are grouped now."""

from __future__ import annotations

import logging
from typing import Any
from unittest import mock

import pytest
import torch

from davpt_seg.core.guidance import old_guidance
from davpt_seg.core.guidance.losses import METRICS
from davpt_seg.core.guidance.metric import Metric
from davpt_seg.core.guidance.old_guidance import PLACES, current_guidance, current_option
from davpt_seg.errors import InputError

from ..tiny import tiny_vit

#: Old configs and the same ones now.
CONFIGS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        dict(labels="image", patch_tokens="mean", class_means="image", cls_proxies="prompt"),
        dict(
            labelling=dict(labels="image"),
            mapping=dict(class_means="image"),
            metric=dict(patch_tokens="mean", cls_proxies="prompt"),
        ),
    ),
    (
        dict(metric="triplet", margin=0.3, prompt_scale=None, mapping="random", seed=3),
        dict(metric=dict(kind="triplet", margin=0.3), mapping=dict(kind="random", seed=3)),
    ),
    (
        dict(scale=8.0, divisor="all", prompt_side="key", token_side="query", purity=0.8, ignore_index=99),
        dict(
            metric=dict(scale=8.0, divisor="all", prompt_side="key", token_side="query"),
            labelling=dict(purity=0.8, ignore_index=99),
        ),
    ),
    (
        dict(metric="attention", prompt_side="key", token_side="query", cls_weight=0.0),
        dict(metric=dict(kind="attention", prompt_side="key", token_side="query"), cls_weight=0.0),
    ),
    (dict(cls_side="key", image_token="mean"), dict(metric=dict(cls_side="key", image_token="mean"))),
]


@pytest.fixture(autouse=True)
def not_warned_yet() -> None:
    old_guidance._warn.cache_clear()


@pytest.mark.parametrize(("old", "new"), CONFIGS)
def test_an_old_config_gives_the_same_losses_and_state_and_one_warning(
    old: dict[str, Any], new: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "davpt_seg")
    found = []
    for config in (old, new):
        torch.manual_seed(0)
        model = tiny_vit(prompts=dict(num_prompts=3), guidance=dict(num_classes=5, **config)).train()
        records = model(torch.randn(2, 3, 32, 32, dtype=torch.float64)).records
        losses = model.guidance(records, torch.randint(5, (2, 4, 4)).repeat_interleave(8, 1).repeat_interleave(8, 2))
        found.append((losses, model.state_dict(), model.guidance.metric, model.guidance.labelling))
    (losses, state, *rest), (new_losses, new_state, *new_rest) = found
    assert rest == new_rest
    assert losses.keys() == new_losses.keys() and all(torch.equal(losses[name], new_losses[name]) for name in losses)
    assert state.keys() == new_state.keys() and all(torch.equal(state[name], new_state[name]) for name in state)
    warnings = [text for text in caplog.messages if "grouped after version 0.3" in text]
    assert len(warnings) == 1 and all(name in warnings[0] for name in old if name in PLACES)


def test_old_names_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = mock.Mock(wraps=old_guidance.old_arguments)
    monkeypatch.setattr(old_guidance, "old_arguments", looked)
    tiny_vit(prompts=dict(num_prompts=3), guidance=dict(num_classes=5, prompt_side="key", token_side="key"))
    assert looked.call_count == 1


def test_every_argument_has_its_place() -> None:
    # written down, because old configs must still be read when an argument of the metrics gets another name
    arguments = {name for loss in METRICS.values() for name in loss.names()} | set(Metric.names()) - {"loss"}
    assert {key for group, key in PLACES.values() if group == "metric"} == {"kind", *arguments}
    assert all(current_option(f"model.backbone.guidance.{old}").endswith(".".join(at)) for old, at in PLACES.items())
    for other in ("model.backbone.guidance.patch_weight", "model.backbone.prompts.seed", "metric", "guidance.metric"):
        assert current_option(other) == other


@pytest.mark.parametrize("old", [name for name in PLACES if name not in ("mapping", "metric")])
def test_an_argument_that_is_set_in_both_ways_is_refused_by_both_names(old: str) -> None:
    group, key = PLACES[old]
    with pytest.raises(InputError, match=rf"guidance has {old}=1, .* and {group}=dict\({key}=2\), .* omit {old}"):
        current_guidance({"num_classes": 3, old: 1, group: {key: 2}})
    kept = {"num_classes": 3, old: 1, group: {"other": 2}}
    assert current_guidance(kept) == {"num_classes": 3, group: {"other": 2, key: 1}}
    assert kept[group] == {"other": 2}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (dict(mapping=dict(sed=1)), "guidance mapping has no argument 'sed'; did you mean 'seed'?"),
        (dict(labelling=dict(puritiy=1)), "guidance labelling has no argument 'puritiy'; did you mean 'purity'?"),
        (
            dict(metric=dict(promt_side="key")),
            "guidance metric has no argument 'promt_side'; did you mean 'prompt_side'",
        ),
        (
            dict(metric=dict(prompt_scal=1)),
            "guidance metric has no argument 'prompt_scal'; did you mean 'prompt_scale'",
        ),
        (dict(metric=dict(kind="anchor")), "guidance metric kind must be one of ('proxy_anchor', "),
        (dict(metric=dict(loss="triplet")), "guidance metric has no argument 'loss'"),
        (dict(labelling=dict(num_classes=3)), "guidance labelling has no argument 'num_classes'"),
        (dict(metric=3), "guidance metric must be a dict of arguments, got 3"),
        (dict(mapping=None), "guidance mapping must be a dict of arguments, got None"),
        (dict(labelling="image"), "guidance labelling must be a dict of arguments, got 'image'"),
        (dict(metric=[1], prompt_side="key"), "guidance metric must be a dict of arguments, got [1]"),
    ],
)
def test_a_wrong_name_or_value_of_a_group_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        tiny_vit(prompts=dict(num_prompts=3), guidance=dict(num_classes=3, **config))
    assert message in str(error.value)


def test_names_of_a_guided_models_state_are_those_of_old_checkpoints() -> None:
    model = tiny_vit(guidance=dict(num_classes=5, num_prompts=2))
    buffers = (
        *("prompt_of_class", "class_means", "class_counts", "known_means", "ever_seen", "centroids", "clustered"),
    )
    names = {f"guidance.mapping.{name}" for name in buffers} | {"guidance.proxies.1"}
    assert {name for name in model.state_dict() if name.startswith("guidance.")} == names


def test_heads_of_attention_are_the_trunks_where_a_config_says_none() -> None:
    metric = dict(kind="attention", prompt_side="key", token_side="query")
    for heads in ({}, dict(heads=None)):
        guidance = dict(num_classes=3, cls_weight=0.0, metric={**metric, **heads})
        assert tiny_vit(prompts=dict(num_prompts=3), guidance=guidance).guidance.metric.loss.heads == 4
