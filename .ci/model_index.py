"""Write the Models of model-index.yml from the files under configs/: ``make model-index``.

The collections stay as they are written there; a config of a method that has none is an error that says so.
"""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
INDEX = ROOT / "model-index.yml"
COLLECTIONS = {  # by the folder of a config
    "davpt": "DA-VPT",
    "demo": "DA-VPT",
    "vpt_deep": "VPT",
    "vpt_shallow": "VPT",
    "linear": "Linear probing",
    "bias": "Bias tuning",
    "full": "Full fine-tuning",
}
DATASETS = {  # by a part of a config's name, the longer ones first; the names are those of MMSegmentation's index
    "ade20k": "ADE20K",
    "pascal_context_59": "Pascal Context 59",
    "pascal_context": "Pascal Context",
    "camvid": "CamVid",
    "scenes": "Demo scenes",
}


def model(config: Path) -> str:
    """Write the line of one config.

    Raises:
        ValueError: its folder or its name tells no collection or no data set.
    """
    method, name = config.parent.name, config.stem
    dataset = next((DATASETS[part] for part in DATASETS if part in name), None)
    if method not in COLLECTIONS or dataset is None:
        known = COLLECTIONS if dataset else DATASETS
        raise ValueError(f"{config}: add it to {'COLLECTIONS' if dataset else 'DATASETS'} ({', '.join(known)})")
    return (
        f"  - {{Name: {name if method == 'demo' else f'{method}_{name}'}, In Collection: {COLLECTIONS[method]}, "
        f"Metadata: {{Training Data: {dataset}}}, Config: {config.relative_to(ROOT).as_posix()}}}\n"
    )


def index() -> str:
    """Write the whole file.

    Raises:
        ValueError: a config fits nowhere, or its collection is not described.
    """
    head = INDEX.read_text().partition("Models:\n")[0]
    described = {collection["Name"] for collection in yaml.safe_load(head)["Collections"]}
    missing = set(COLLECTIONS.values()) - described
    if missing:
        raise ValueError(f"describe under Collections of {INDEX}: {', '.join(sorted(missing))}")
    configs = (path for path in sorted((ROOT / "configs").rglob("*.py")) if "_base_" not in path.parts)
    return head + "Models:\n" + "".join(model(path) for path in configs)


if __name__ == "__main__":
    INDEX.write_text(index())
    print(INDEX)
