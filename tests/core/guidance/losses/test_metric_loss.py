"""What all metrics have in common, and how one is chosen."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from davpt_seg.core.guidance.losses import METRICS, Triplet, metric_loss


@pytest.mark.parametrize("name", METRICS)
def test_the_chosen_metric_gets_its_arguments(name: str) -> None:
    torch.manual_seed(0)
    proxies, tokens, same = torch.randn(3, 8), torch.randn(9, 8), torch.randint(3, (9, 1)) == torch.arange(3)
    argument = {
        "proxy_anchor": dict(scale=7.0),
        "proxy_nca": dict(scale=7.0),
        "triplet": dict(margin=0.7),
        "attention": dict(heads=2),
    }[name]
    chosen, plain = metric_loss(name, argument)(proxies, tokens, same), metric_loss(name, {})(proxies, tokens, same)
    assert torch.equal(chosen.total, METRICS[name](**argument)(proxies, tokens, same, ~same).total)
    assert not torch.isclose(chosen.total, plain.total)


def test_an_argument_of_none_is_as_if_it_were_not_given() -> None:
    # a config's prompt_scale can so be taken back on the command line, where another metric is chosen
    assert metric_loss("triplet", dict(margin=None, prompt_scale=None)) == Triplet()


@pytest.mark.parametrize("name", METRICS)
def test_nothing_but_void_gives_zero_loss_and_zero_gradients(name: str) -> None:
    proxies, tokens = torch.randn(3, 8, requires_grad=True), torch.randn(5, 8, requires_grad=True)
    nothing = torch.zeros(5, 3, dtype=torch.bool)
    value = METRICS[name]()(proxies, tokens, nothing, nothing).total
    value.backward()
    assert value.item() == 0
    assert proxies.grad.abs().max() == 0 and tokens.grad.abs().max() == 0


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_inputs_and_autocast_are_computed_in_float32(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    proxies, tokens = torch.randn(6, 16).to(dtype), torch.randn(10_000, 16).to(dtype)
    same = torch.randint(6, (10_000, 1)) == torch.arange(6)
    plain = METRICS[name]()(proxies.float(), tokens.float(), same).total
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = METRICS[name]()(proxies, tokens, same).total
    assert torch.isfinite(plain) and torch.equal(plain, mixed) and mixed.dtype == torch.float32


@pytest.mark.parametrize("name", METRICS)
def test_tokens_pull_less_the_nearer_their_proxy_and_push_more_the_nearer_another(name: str) -> None:
    def parts(own: float, other: float) -> tuple[float, float]:
        rest = (1 - own**2 - other**2) ** 0.5
        tokens = torch.tensor([[own, other, rest], [other, own, rest]])
        return tuple(part.item() for part in METRICS[name]()(torch.eye(3)[:2], tokens, torch.eye(2).bool()))

    assert parts(0.2, 0.6)[0] > parts(0.3, 0.6)[0] > parts(0.4, 0.6)[0]
    assert parts(0.3, 0.5)[1] < parts(0.3, 0.6)[1] < parts(0.3, 0.7)[1]


@pytest.mark.parametrize("name", METRICS)
def test_no_token_and_no_proxy_give_zero(name: str) -> None:
    for num_proxies, num_tokens in ((3, 0), (0, 4), (0, 0)):
        nothing = torch.zeros(num_tokens, num_proxies, dtype=torch.bool)
        assert METRICS[name]()(torch.randn(num_proxies, 8), torch.randn(num_tokens, 8), nothing).total.item() == 0


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        (
            "contrastive",
            {},
            r"metric kind must be one of \('proxy_anchor', 'proxy_nca', 'triplet', 'attention'\), got 'contrastive'",
        ),
        ("triplet", dict(scale=32.0), r"'scale' is no argument of metric 'triplet', which takes margin; it is one of "),
        ("proxy_nca", dict(divisor="all"), r"'divisor' is no .* takes scale; it is one of 'proxy_anchor'"),
        ("proxy_anchor", dict(temperature=0.1), r"'temperature' is no .* scale, margin, prompt_scale, divisor$"),
        ("proxy_anchor", dict(divisor="none"), r"divisor must be one of \('positive', 'all'\), got 'none'"),
        ("proxy_nca", dict(scale=0.0), r"guidance metric 'proxy_nca' scale must be a number above 0, got 0\.0"),
        ("triplet", dict(margin=-0.1), r"guidance metric 'triplet' margin must be a number of at least 0, got -0\.1"),
    ],
)
def test_a_wrong_metric_argument_or_value_is_refused_before_any_loss(
    name: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        metric_loss(name, arguments)
