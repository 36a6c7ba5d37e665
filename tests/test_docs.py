"""What README and model-index.yml name is there and works."""

from __future__ import annotations

import re
from pathlib import Path

import torch
import yaml
from mmengine.config import Config
from mmengine.registry import MODELS

import davpt_seg  # noqa: F401  (registers what the snippet names)
from davpt_seg import apis
from davpt_seg.experiments.catalog import find_config

from .docs_commands import alternatives

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_config_snippet_of_the_readme_builds() -> None:
    (snippet,) = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    config: dict = {}
    exec(snippet, config)
    backbone = dict(config["model"]["backbone"], pretrained=False)
    with torch.device("meta"):
        model = MODELS.build(backbone)
    assert model.depth == 12
    assert tuple(model.prompts.counts) == 12 * (20,)
    assert model.starts_at_zero


def test_the_readme_activates_the_environment_before_it_types_a_command_of_it() -> None:
    blocks = "".join(re.findall(r"```shell\n(.*?)```", README, flags=re.S))
    assert 0 < blocks.index(". .venv/bin/activate") < blocks.index("davpt-seg ")


def test_the_reference_has_every_name_of_the_python_interface() -> None:
    page = (ROOT / "docs" / "api" / "apis.md").read_text()
    listed = re.findall(r"^::: davpt_seg\S*\.(\w+)$", page, flags=re.M)
    assert sorted(listed) == sorted(apis.__all__)


def test_the_example_of_mapping_is_a_training_that_clusters_its_classes() -> None:
    """With a prompt for each class nothing is clustered, and no ``mapping.jsonl`` is written."""
    (name,) = re.findall(r"\{mapping\} work_dirs/(\S+)\"", (ROOT / "davpt_seg/commands/mapping.py").read_text())
    backbone = Config.fromfile(find_config(name)).model.backbone
    assert backbone.guidance.num_classes > min(backbone.prompts.num_prompts)


def test_the_papers_cells_are_files_as_the_page_of_configs_lists_them() -> None:
    page = (ROOT / "docs" / "configs.md").read_text()
    files = [path for found in re.findall(r"^    (configs/\S+)$", page, flags=re.M) for path in alternatives(found)]
    assert len(files) == 7 * 2 * 3  # methods, heads, data sets
    assert not [path for path in files if not (ROOT / path).is_file()]


def test_files_that_the_documents_name_exist() -> None:
    missing = []
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        if document.name == "wrong_inputs.md":  # names files that are not there on purpose
            continue
        text = document.read_text()
        paths = re.findall(r"\b((?:configs|tools|benchmarks|tests|davpt_seg)/[\w/]+\.(?:py|md|sh))\b", text)
        missing += [path for path in paths if not (ROOT / path).is_file()]
        links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
        missing += [link for link in links if not (document.parent / link).is_file()]
        missing += re.findall(r"@[A-Z]+@", text)  # a place that was to be filled in
    assert not missing


def sections(document: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a document."""
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.S)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def test_sections_that_the_documents_link_to_exist() -> None:
    missing = []
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for path, section in re.findall(r"\]\(([\w./-]*)#([^)]+)\)", document.read_text()):
            if section not in sections((document.parent / path) if path else document):
                missing.append(f"{document.name}: {path}#{section}")
    assert not missing


def test_every_page_is_linked_from_another_one() -> None:
    documents = (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
    linked = {
        (document.parent / path).resolve()
        for document in documents
        for path in re.findall(r"\]\(([\w./-]+\.md)", document.read_text())
        if (document.parent / path).resolve() != document
    }
    assert [page.name for page in documents[1:] if page not in linked] == []


def test_model_index_lists_every_experiment_once() -> None:
    index = yaml.safe_load((ROOT / "model-index.yml").read_text())
    listed = sorted(model["Config"] for model in index["Models"])
    configs = (path.relative_to(ROOT) for path in (ROOT / "configs").rglob("*.py"))
    assert listed == sorted(str(path) for path in configs if "_base_" not in path.parts)
    collections = {collection["Name"] for collection in index["Collections"]}
    assert {model["In Collection"] for model in index["Models"]} <= collections


def test_prose_wraps_at_120_characters() -> None:
    tables_and_code = ("|", "    ")
    wide = [
        f"{document.name}: {line}"
        for document in (ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md"))
        for line in re.sub(r"^ *```.*?^ *```", "", document.read_text(), flags=re.S | re.M).splitlines()
        if len(line) > 120 and not line.startswith(tables_and_code) and not re.search(r"`[^`]{60,}`|\]\(", line)
    ]
    assert not wide


def test_the_page_that_messages_about_data_name_has_every_variable_of_a_folder() -> None:
    configs = [path.read_text() for path in (ROOT / "configs" / "_base_" / "datasets").rglob("*.py")]
    variables = {name for text in configs for name in re.findall(r"\{\{\$(\w+_ROOT)", text)}
    assert {"CAMVID_ROOT", "VTAB_ROOT"} <= variables
    page = (ROOT / "docs" / "data.md").read_text()
    assert {name for name in variables if f"`{name}`" not in page} == set()


def words(text: str) -> int:
    """Count the words that a reader reads: without code blocks, rules of tables, and targets of links."""
    text = re.sub(r"^ *```.*?^ *```", "", text, flags=re.S | re.M)
    return sum(bool(re.search(r"\w", word)) for word in re.sub(r"\]\([^)]*\)", "]", text).split())


def test_the_pages_have_at_most_18000_words() -> None:
    """``words.md`` and the table of ``trunks.md`` are generated: a reader looks a row up there."""
    pages = [path.read_text() for path in (ROOT / "docs").glob("*.md") if path.name not in ("words.md", "trunks.md")]
    trunks = (ROOT / "docs" / "trunks.md").read_text()
    pages.append("\n".join(line for line in trunks.splitlines() if not line.startswith("|")))
    assert sum(map(words, pages)) <= 18_000
