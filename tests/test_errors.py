"""Near names, lists that are cut, and the exceptions of the package."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

import davpt_seg
from davpt_seg.errors import DataError, DivergedError, InputError, near_names, nearest, some

NAMES = ("lr", "head_lr", "rank", "weight_decay")
TASKS = ("vtab/dtd", "vtab/cifar", "vtab/kitti", "ade20k")


def modules() -> Iterator[tuple[Path, ast.Module]]:
    root = Path(davpt_seg.__file__).parent
    for path in sorted(root.rglob("*.py")):
        yield path.relative_to(root), ast.parse(path.read_text())


@pytest.mark.parametrize(
    ("name", "known", "text"),
    [
        ("rnak", NAMES, "did you mean 'rank'? Known: lr, head_lr, rank, weight_decay"),
        ("width", NAMES, "known: lr, head_lr, rank, weight_decay"),
        ("Weight_Decay", NAMES, "did you mean 'weight_decay'? Known: lr, head_lr, rank, weight_decay"),
        ("cuont", ("count", "counts"), "did you mean 'count' or 'counts'? Known: count, counts"),
        ("dtd", TASKS, "did you mean 'vtab/dtd'? Known: vtab/dtd, vtab/cifar, vtab/kitti, ade20k"),
        ("ADE-20k", TASKS, "did you mean 'ade20k'? Known: vtab/dtd, vtab/cifar, vtab/kitti, ade20k"),
        (11, {10: "a", 12: "b"}, "known: 10, 12"),
        ("", NAMES, "known: lr, head_lr, rank, weight_decay"),
        ("x", (), "known: none"),
    ],
)
def test_an_unknown_name_is_answered_with_near_ones_and_with_what_is_known(
    name: object, known: tuple[str, ...], text: str
) -> None:
    assert nearest(name, known) == text


def test_a_long_list_is_cut_and_is_omitted_beside_near_names() -> None:
    known = [f"name_{i:03}" for i in range(100)]
    assert nearest("x", known).endswith("name_039 and 60 more")
    assert nearest("name_005x", known).startswith("did you mean 'name_005'") and "nown" not in nearest("name_05", known)


def test_a_listing_takes_the_place_of_the_known_names() -> None:
    assert nearest("rnak", NAMES, "the docs list them") == "did you mean 'rank'? The docs list them"
    assert nearest("width", NAMES, "the docs list them") == "the docs list them"


def test_near_names_are_known_names_with_the_same_first() -> None:
    """A known name is the nearest to itself, and a letter lost is found again."""
    draw = random.Random(0)
    for _ in range(200):
        known = ["".join(draw.choices("abcdefgh_", k=draw.randint(4, 12))) for _ in range(draw.randint(1, 20))]
        name = draw.choice(known)
        at = draw.randrange(len(name))
        for typed in (name, name.upper(), name[:at] + name[at + 1 :]):
            near = near_names(typed, known)
            assert set(near) <= set(known) and 1 <= len(near) <= 3
            assert typed.lower() != name or near[0] == name
        assert near_names("0123456789", known) == []


def test_long_lists_in_messages_are_cut() -> None:
    assert some([]) == "" and some(["a"]) == "a" and some(list("abcde")) == "a, b, c, d, e"
    assert some(range(400)) == "0, 1, 2, 3, 4 and 395 more"
    assert some(list("abc"), 2, "; ") == "a; b and 1 more"


def test_names_are_compared_in_one_place() -> None:
    imports = {
        str(path)
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import) and any(name.name == "difflib" for name in node.names)
    }
    assert imports == {"errors.py", "own_data/writing.py"}  # the latter shows differences of two texts, line by line


def test_exceptions_are_few_and_each_says_why_it_is_apart() -> None:
    """All but the first three are caught inside; ``DiffersError`` ends ``export``."""
    found = {
        node.name: ast.get_docstring(node) or ""
        for _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id.endswith(("Error", "Exception")) for base in node.bases)
    }
    caught = {"Unfit", "DistributionNotFound"}  # the latter is MMEngine's, by the name of pkg_resources
    apart = {"DataError", "DivergedError", "MoreThanDataError", "DiffersError", "NoLocksError"}
    assert found.keys() == {"InputError"} | caught | apart
    assert all("Apart from" in found[name] for name in apart)
    assert issubclass(InputError, ValueError)
    assert issubclass(DataError, InputError) and issubclass(DivergedError, InputError)
