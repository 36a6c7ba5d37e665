"""``--cfg-options KEY=VALUE``: read as MMEngine reads it, and refused by name where it cannot be read."""

from __future__ import annotations

import argparse
from random import Random
from typing import Any

import pytest
from mmengine.config import Config, DictAction

from davpt_seg.errors import InputError
from davpt_seg.experiments.option_values import OptionsAction, option_texts, parsed_options, parsed_value
from davpt_seg.experiments.options import put_options

AS_MMENGINE = [
    *("3", "-3", "0.5", "1e-3", "true", "False", "None", "text", "a.b", "vit/b16", "x=y", '"a"', ""),
    *("1,2", "1,", "[1,2]", "(1,2)", "[]", "()", "[a,b]", "[(1, 2, 3), [a, b], c]", "(1,)", "[[1]]", "1,a,None"),
    *("blocks.*.attn.key_bias", "[blocks.*.attn.key_bias,norm.bias]", "[10,11]", "foo(1)", "[a-z]"),
]


@pytest.mark.parametrize("text", AS_MMENGINE)
def test_a_value_is_what_mmengine_makes_of_it(text: str) -> None:
    expected = DictAction._parse_iterable(text)
    found = parsed_value(text)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("/data/my images", "/data/my images"),  # MMEngine takes the space out
        ("[a b, c]", ["a b", "c"]),
        ("{'type': 'Mixup', 'alpha': 0.8}", {"type": "Mixup", "alpha": 0.8}),
        (
            "[{'type': 'Mixup', 'alpha': 0.8}, {'type': 'CutMix', 'alpha': 1.0}]",
            [dict(type="Mixup", alpha=0.8), dict(type="CutMix", alpha=1.0)],
        ),
        ("[1],[2]", [[1], [2]]),
        ("'3'", "3"),  # quotes keep text, which MMEngine reads as other types
        ('"1e-3"', "1e-3"),
        ("'true'", "true"),
        ("'nan'", "nan"),
        ("'a, b'", "a, b"),
        ("'[1,2]'", "[1,2]"),
        ("['a, b', \"c]\", it's]", ["a, b", "c]", "it's"]),
        ("'a,b',c", ["a,b", "c"]),
        ("'it''s'", "it's"),
        ("it's", "it's"),
        ("''", ""),
        ("' a '", " a "),
        ("['', '']", ["", ""]),
        (r"C:\data\new", r"C:\data\new"),
        (r"'C:\data\'", "C:\\data\\"),
        ("a=b=c", "a=b=c"),
        ("{'a': 'x, ]}', 'b': [1, (2,)]}", {"a": "x, ]}", "b": [1, (2,)]}),
    ],
)
def test_values_that_mmengine_cannot_read_are_read(text: str, value: Any) -> None:
    assert parsed_value(text) == value


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("model.x", "'model.x' is no KEY=VALUE"),
        ("=3", "'=3' is no KEY=VALUE"),
        ("a..b=3", "is no KEY=VALUE"),
        (".a=3", "is no KEY=VALUE"),
        ("a =3", "is no KEY=VALUE"),
        ("a=[1,2", r"a: brackets of '\[1,2' do not match"),
        ("a=[1", r"a: brackets of '\[1' do not match"),
        ("a=[1,(2])", "do not match"),
        ("a=1,)(,2", "do not match"),
        ("a={'x': [1, 2], y}", "is no Python dict"),
        ("a={'x': open('f')}", "is no Python dict"),
        ("a={1: 2}", "whose keys are text"),
        ("a={1, 2}", "whose keys are text"),
        ("a=" + "[" * 300 + "]" * 300, "nested more than 20 deep"),
        ("a=" + "[" * 5000, "do not match"),
        ("a=nan", "'nan' is no finite number"),
        ("a=[1,-inf]", "'-inf' is no finite number"),
        ("a=1e999", "'1e999' is no finite number"),
        ("a=" + "9" * 5000, "is no finite number"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(option: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=told):
        parsed_options([option])
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction)
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--cfg-options", "b=1", option])
    assert "error: argument --cfg-options: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("divided", "values"),
    [
        (["a=[1,", "2]", "b=3"], {"a": [1, 2], "b": 3}),
        (["a=(1,", "2,", "[3,", "4])"], {"a": (1, 2, [3, 4])}),
        (["a={'x':", "1}", "b=(c)"], {"a": {"x": 1}, "b": ("c",)}),
    ],
)
def test_a_list_that_the_shell_divided_at_its_blanks_is_joined(divided: list[str], values: dict[str, Any]) -> None:
    assert parsed_options(divided) == values


def test_a_text_that_the_shell_divided_is_answered_with_the_quoted_option() -> None:
    with pytest.raises(InputError, match=r"'Data' is no KEY=VALUE; .* for the shell, with its key: 'r=/data/My Data'"):
        parsed_options(["r=/data/My", "Data"])


def test_values_are_read_back_as_they_were_written() -> None:
    random = Random(0)
    for _ in range(3000):
        options = {"a.b": random_value(random), "c": random_value(random)}
        written = option_texts(options)
        assert parsed_options(written) == options, written
        assert repr(parsed_options(written)) == repr(options)  # with the types


def random_value(random: Random, depth: int = 3) -> Any:
    kind = random.randrange(8 if depth else 5)
    if kind < 3:
        return "".join(random.choices("ab1.-e_ ,'\"\\()[]{}=:\n", k=random.randrange(7)))
    if kind == 3:
        return random.choice(["true", "None", "3", "1e-3", "nan", "inf", "-0", "1_0", "9" * 5000, "/data/My Data"])
    if kind == 4:
        return random.choice([None, True, False, 0, -3, 0.1, 1e-30, 10**30])
    items = [random_value(random, depth - 1) for _ in range(random.randrange(4))]
    if kind == 7:
        return {f"k{i}": item for i, item in enumerate(items)}
    return items if kind == 5 else tuple(items)


def test_options_add_up_and_the_later_holds() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction)
    args = parser.parse_args(["--cfg-options", "a=1", "b=2", "--cfg-options", "a=3"])
    assert args.cfg_options == {"a": 3, "b": 2}


def test_a_dict_is_merged_into_a_dict_and_takes_the_place_of_all_else() -> None:
    cfg = Config(dict(model=dict(head=dict(a=1, b=2), counts=[1, 2], none=None, hooks=[dict(x=1)])))
    put_options(
        cfg, {"model.head": {"b": 3}, "model.counts": {"c": 1}, "model.none": {"d": 1}, "model.hooks.0": {"y": 2}}
    )
    assert cfg.model.to_dict() == dict(head=dict(a=1, b=3), counts=dict(c=1), none=dict(d=1), hooks=[dict(x=1, y=2)])
    put_options(cfg, {"model.head": {"_delete_": True, "c": 4}})
    assert cfg.model.head.to_dict() == dict(c=4)


def test_entries_of_lists_and_tuples_are_changed() -> None:
    cfg = Config(dict(model=dict(out=(0, 1), counts=[1, 2], steps=[dict(type="x", sizes=(1, 2))])))
    put_options(cfg, {"model.out.1": 7, "model.counts.0": None, "model.steps.0.sizes.1": 3, "model.steps.0.new": "y"})
    assert cfg.model.to_dict() == dict(out=(0, 7), counts=[None, 2], steps=[dict(type="x", sizes=(1, 3), new="y")])
    with pytest.raises(ValueError, match=r"model\.out has the entries 0 to 1, not '2'"):
        put_options(cfg, {"model.out.2": 7})
    with pytest.raises(ValueError, match="not '²'"):
        put_options(cfg, {"model.out.²": 7})
