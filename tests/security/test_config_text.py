"""A config's text becomes the values that Python would give it, and nothing is run."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from davpt_seg.errors import InputError
from davpt_seg.experiments.compose import compose_from_words
from davpt_seg.trust.config_check import check_config
from davpt_seg.trust.config_text import MOST_NESTED, evaluate

from .attacks import CONFIGS

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "configs").glob("[!_]*/**/*.py"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT / "configs")))
def test_every_config_of_ours_is_read_back_from_its_text_and_passes(path: Path) -> None:
    cfg = Config.fromfile(path, format_python_code=False)  # which takes a second
    found = evaluate(Config(cfg.to_dict(), format_python_code=False).pretty_text)
    assert Config(found).to_dict() == cfg.to_dict()
    check_config(found)


def test_experiments_made_of_words_pass_with_their_clip_grad() -> None:
    cfg = compose_from_words("method=davpt,trunk=vitb_in21k,data=vtab/dtd")
    assert cfg.optim_wrapper.clip_grad.type == "value"  # MMEngine's word, and no class
    check_config(evaluate(Config(cfg.to_dict(), format_python_code=False).pretty_text))
    with pytest.raises(InputError, match=r"optimizer\.type"):
        check_config(dict(optim_wrapper=dict(optimizer=dict(type="os.system"))))
    with pytest.raises(InputError, match=r"clip_grad\.type"):
        check_config(dict(model=dict(clip_grad=dict(type="os.system"))))


def value(rng: random.Random, depth: int) -> Any:
    """Draw nested values as configs have them."""
    kinds = ["number", "float", "text", "constant", "list", "tuple", "dict"]
    kind = rng.choice(kinds[: 7 if depth else 4])
    if kind == "list":
        return [value(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind == "tuple":
        return tuple(value(rng, depth - 1) for _ in range(rng.randrange(4)))
    if kind == "dict":
        keys = ["a", "b_1", "with space", "a.b", 3, "type_", "é"]
        return {rng.choice(keys): value(rng, depth - 1) for _ in range(rng.randrange(4))}
    texts = [
        "",
        "a",
        "it's",
        'a "b"',
        "{{$HOME}}",
        "{{ fileDirname }}",
        "\\47",
        "back\\slash",
        "two\nlines",
        "# no",
        "é",
    ]
    return {
        "number": rng.choice([0, 1, -7, 10**12]),
        "float": rng.choice([0.5, -1e-30, 1e300, float("inf"), -float("inf")]),
        "text": rng.choice(texts),
        "constant": rng.choice([None, True, False]),
    }[kind]


def test_what_python_prints_is_read_back() -> None:
    rng = random.Random(0)
    for _ in range(300):
        expected = {f"x{i}": value(rng, 4) for i in range(3)}
        text = "\n".join(f"{name} = {content!r}" for name, content in expected.items())
        assert evaluate(text) == expected


def test_mmengines_own_form_of_odd_keys_is_read_back() -> None:
    assert evaluate("a = dict({'b.c': dict(d=1)}, e=-2)  # why\nb = 'x' 'y'\n") == dict(
        a={"b.c": dict(d=1), "e": -2}, b="xy"
    )


def test_a_text_that_nests_as_deep_as_allowed_is_read_and_a_deeper_one_refused() -> None:
    evaluate(f"x = {'[' * MOST_NESTED}{']' * MOST_NESTED}")
    with pytest.raises(InputError, match="line 1: it nests more than 40 brackets"):
        evaluate(f"x = {'(' * (MOST_NESTED + 1)}{')' * (MOST_NESTED + 1)}")


@pytest.mark.parametrize("attack", CONFIGS)
def test_no_attack_gets_further_than_a_named_error(attack: str, trap: Path) -> None:
    text = CONFIGS[attack](trap)
    if "template" in attack:
        assert evaluate(text)["x"].startswith("{{$NO_SUCH_VARIABLE:")
        return
    with pytest.raises(InputError) as error:
        check_config(evaluate(text))
    assert len(str(error.value)) < 400


def test_mutated_texts_end_in_values_or_a_named_error() -> None:
    """Flip, delete and double characters of a real config, and cut it anywhere."""
    text, rng = Config.fromfile(SHIPPED[0]).pretty_text, random.Random(0)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(400):
        start = rng.randrange(len(text))
        odd = rng.choice(
            ["", "(", "'", '"""', "\\", "**", "-" * 50, "f'{1}'", "[" * 99, "\x00", "\ud800", "\t", "é", ";"]
        )
        changed = text[:start] + odd + text[start + rng.randrange(3) :]
        try:
            evaluate(changed[: rng.choice([len(changed), rng.randrange(len(changed))])])
            outcomes["read"] += 1
        except InputError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 20


@pytest.mark.parametrize("wrong", [b"x = 1", None, 3, ["x = 1"]])
def test_what_is_no_text_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match="a config must be text"):
        evaluate(wrong)


def test_a_class_of_another_registry_is_refused_where_a_model_is_built() -> None:
    """MMEngine would look for a module of that name where the registry has no such class."""
    with pytest.raises(InputError, match=r"model.backbone.type = 'AdamW' is no class"):
        check_config(dict(model=dict(type="EncoderDecoder", backbone=dict(type="AdamW"))))
    with pytest.raises(InputError, match=r"model.neck.type = 'FCNHead' is no class"):
        check_config(dict(model=dict(type="ImageClassifier", _scope_="mmpretrain", neck=dict(type="FCNHead"))))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        (dict(model=dict(type=3)), "model.type = 3"),
        (dict(model=dict(type=None)), "model.type = None"),
        (dict(custom_hooks=[dict(type="posix.mkdir")]), "custom_hooks.0.type = 'posix.mkdir'"),
        (dict(default_scope="os"), "default_scope = 'os'"),
        (dict(default_scope=["mmseg"]), r"default_scope = \['mmseg'\]"),
        (dict(custom_imports=dict(imports=["mmseg", "os"])), "custom_imports would import 'os'"),
        (dict(custom_imports="os"), "custom_imports would import 'os'"),
        (dict(custom_imports=3), "custom_imports would import 3"),
        (dict(custom_imports=dict(imports=[["os"]])), r"custom_imports would import \['os'\]"),
        (
            dict(model=dict(type="TIMMBackbone", model_name="hf-hub:evil/model")),
            "model.model_name = 'hf-hub:evil/model'",
        ),
        (dict(model=dict(type="TIMMBackbone", model_name="local-dir:evil")), "model.model_name = 'local-dir:evil'"),
        (dict(test_pipeline=[dict(type="LoadBiomedicalImageFromFile", decode_backend="pickle")]), "decode_backend"),
        (dict(train_dataloader=dict(dataset=dict(backend_args=dict(backend="memcached")))), "backend = 'memcached'"),
    ],
)
def test_a_key_that_reaches_further_is_named_with_its_place(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(InputError, match=place):
        check_config(changes)
