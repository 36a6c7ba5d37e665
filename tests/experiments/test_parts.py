"""Parts that are files anywhere on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from davpt_seg.commands.train import main_train
from davpt_seg.errors import InputError
from davpt_seg.experiments.catalog import config_root
from davpt_seg.experiments.compose import asks_for_composition, compose, compose_from_words
from davpt_seg.experiments.parts import each_read_once, label_of

CAMVID = dict(head="linear", trunk="vits14", schedule="adamw_iters")
CAMVID_WORDS = "data=camvid_168x224,head=linear,trunk=vits14,schedule=adamw_iters"
BASE = config_root() / "_base_"


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("base", ["camvid_crop112.py", "datasets/camvid_crop112.py", "../datasets/camvid_crop112.py"])
def test_a_data_part_elsewhere_finds_our_bases(tmp_path: Path, base: str) -> None:
    mine = write(tmp_path / "street.py", f'# mine\n_base_ = [\n    "{base}",\n]\nmetainfo = _base_.metainfo\n')
    own, ours = compose("lora", data=mine, **CAMVID), compose("lora", data="camvid_crop112", **CAMVID)
    assert own.to_dict() == ours.to_dict()
    assert own.filename == f"lora/linear_vits14_{label_of(mine)}_adamw_iters.py"
    assert own.text.strip() == f"# method=lora,head=linear,trunk=vits14,data={mine},schedule=adamw_iters"


def test_a_file_beside_takes_precedence_and_its_bases_are_found_too(tmp_path: Path) -> None:
    write(tmp_path / "camvid_crop112.py", '_base_ = "camvid_168x224.py"\ntrain_dataloader = dict(batch_size=3)\n')
    mine = write(tmp_path / "street.py", '_base_ = "camvid_crop112.py"\nplace = "{{ fileDirname }}/images"\n')
    cfg = compose("lora", data=mine, **CAMVID)
    assert cfg.train_dataloader.batch_size == 3
    assert cfg.place == f"{tmp_path}/images"


@pytest.mark.parametrize(
    "text",
    [
        'a = 1; _base_ = "camvid_168x224.py"; train_dataloader = dict(batch_size=3)\n',
        '# a page\x0c, \x1c and \u2028\n_base_ = (\n    "camvid_168x224.py",  # ours\n)\n'
        "train_dataloader = dict(batch_size=3)\n",
    ],
    ids=["in one line", "signs that split lines elsewhere"],
)
def test_what_is_beside_the_bases_stays(tmp_path: Path, text: str) -> None:
    assert compose("lora", data=write(tmp_path / "mine.py", text), **CAMVID).train_dataloader.batch_size == 3


def test_a_path_may_begin_at_home_or_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "mine.py", '_base_ = "camvid_168x224.py"\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    configs = [compose("lora", data=path, **CAMVID) for path in ("~/mine.py", "./mine.py", "mine.py")]
    assert len({cfg.filename for cfg in configs}) == 1
    assert all(cfg.to_dict() == configs[0].to_dict() for cfg in configs)


def test_a_method_elsewhere_is_a_method_as_ours_are(tmp_path: Path) -> None:
    mine = write(tmp_path / "few.py", "model = dict(backbone=dict(prompts=dict(num_prompts=3)))\n")
    for words, counts in ((CAMVID_WORDS, 3), ("data=vtab/dtd", [3] * 11 + [10])):  # the row has 10 guided prompts
        cfg = compose_from_words(f"method={mine}+lora+guidance,{words},rank=2")
        backbone = cfg.model.backbone
        assert (backbone.prompts.num_prompts, backbone.adapters[0].rank) == (counts, 2)
        assert Path(cfg.filename).parent.name == f"{label_of(mine)}+lora+guidance"
        assert compose_from_words(f"method={mine},{words},prompts=5").model.backbone.prompts.num_prompts == 5
        with pytest.raises(InputError, match="has no rank"):
            compose_from_words(f"method={mine},{words},rank=5")
    way = write(tmp_path / "later.py", "model = dict(backbone=dict(prompts=dict(carry=-2)))\n")
    for order in (f"{way}+vpt_deep", f"vpt_deep+{way}"):
        assert compose(order, trunk="vits").model.backbone.prompts.carry == -2


def test_the_sizes_of_a_method_elsewhere_are_its_own(tmp_path: Path) -> None:
    text = "model = dict(backbone=dict(prompts=dict(num_prompts=3), guidance=dict(blocks=[-2], patch_weight=0.7)))\n"
    mine = write(tmp_path / "mine.py", f"{text}custom_hooks = [dict(type='MetricLossHook')]\n")
    guidance = compose(mine, data="vtab/dtd").model.backbone.guidance
    assert (guidance.blocks, guidance.patch_weight, guidance.labelling.labels) == ([-2], 0.7, "image")


def test_a_trunk_elsewhere_has_its_head_and_a_schedule_its_length(tmp_path: Path) -> None:
    trunk = write(tmp_path / "wide.py", '_base_ = "linear_vits14.py"\nmodel = dict(decode_head=dict(channels=99))\n')
    schedule = write(tmp_path / "short.py", '_base_ = "adamw_iters.py"\nval_cfg = dict(fp16=False)\n')
    cfg = compose("lora", trunk=trunk, data="camvid_168x224", schedule=schedule, iters=40)
    assert (cfg.model.decode_head.channels, cfg.train_cfg.max_iters, cfg.val_cfg.fp16) == (99, 40, False)
    assert cfg.filename == f"lora/{label_of(trunk)}_camvid_168x224_{label_of(schedule)}_iters=40.py"
    with pytest.raises(InputError, match=r"head=.*wide\.py: a head needs no separate file; give trunk=FILE"):
        compose("lora", head=trunk, trunk="vits14", data="camvid_168x224")
    with pytest.raises(InputError, match="omit head=linear"):
        compose("lora", trunk=trunk, head="linear", data="camvid_168x224")


def test_data_elsewhere_are_classification_by_what_is_in_the_file(tmp_path: Path) -> None:
    loaders = "".join(f"{split}_dataloader = dict(dataset=place)\n" for split in ("train", "val", "test"))
    text = '_base_ = "vtab/base.py"\nnum_classes = 7\nplace = dict(dataset="pets")\n'
    mine = write(tmp_path / "pets.py", text + loaders)
    cfg = compose(data=mine, split="final")
    assert (cfg.model.type, cfg.model.head.num_classes) == ("ImageClassifier", 7)
    assert cfg.test_dataloader.dataset.dataset == "pets"
    assert cfg.filename == f"davpt/vitb_augreg_in21k_{label_of(mine)}_split=final.py"


def test_a_file_with_the_name_of_ours_has_a_work_dir_of_its_own(tmp_path: Path) -> None:
    paths = [write(tmp_path / folder / "lora.py", (BASE / "methods" / "lora.py").read_text()) for folder in "ab"]
    names = {Path(compose(method, trunk="vits").filename).parent.name for method in ("lora", *paths)}
    assert len(names) == 3 and all(name.startswith("lora") for name in names)


def test_two_files_of_one_name_have_two_work_dirs(tmp_path: Path) -> None:
    """--resume takes another data_root for the same training."""
    text = '_base_ = "camvid_168x224.py"\ntrain_dataloader = dict(dataset=dict(data_root="/{}"))\n'
    paths = [write(tmp_path / folder / "street.py", text.format(folder)) for folder in "ab"]
    names = {compose("lora", data=path, **CAMVID).filename for path in paths}
    assert len(names) == 2 and all(name.startswith("lora/linear_vits14_street-") for name in names)


def test_the_command_line_takes_paths(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    mine = write(tmp_path / "street.py", '_base_ = "camvid_168x224.py"\n')
    words = f"method=lora,head=linear,trunk=vits14,schedule=adamw_iters,data={mine}"
    with pytest.raises(SystemExit) as stopped:
        main_train([words, "--print-config"])
    assert stopped.value.code == 0 and "camvid" in capsys.readouterr().out
    existing = write(tmp_path / "lora_lr=1.py", "")
    assert not asks_for_composition(existing)
    assert not asks_for_composition("linear_vits14_lr=1.py") and asks_for_composition("data=mine.py")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "data=.*street.py: there is no file .*street.py"),
        (
            '_base_ = "camvid.py"\n',
            "street.py: _base_ names 'camvid.py', but there is neither .*nor .*datasets/camvid.py",
        ),
        ('_base_ = "street.py"\n', "street.py: its _base_ leads back to itself"),
        (
            "model = dict(backbone=dict())\n",
            "data=.*street.py has no train_dataloader; the files in .*datasets are examples",
        ),
        ("train_dataloader = dict(\n", "street.py cannot be read: SyntaxError"),
        ("train_dataloader = dict(batch_size=size)\n", "street.py cannot be read: NameError: name 'size'"),
        ("train_dataloader = dict(batch_size=1 // 0)\n", "street.py cannot be read: ZeroDivisionError"),
        ("train_dataloader = dict(batch_size=int('x'))\n", "street.py cannot be read: ValueError"),
        ("assert False, 'no images'\n", "street.py cannot be read: AssertionError: no images"),
        ("raise RuntimeError('no images')\n", "street.py cannot be read: RuntimeError: no images"),
        (
            "from mmengine.config import read_base\nwith read_base():\n    from .base import *\n",
            "street.py cannot be read: ConfigParsingError: .*base.py not found",
        ),
        ("train_dataloader = dict()\n", "data=.*street.py: no train_dataloader.dataset, which segmentation needs"),
        ("train_dataloader = dict(dataset=dict(type='X'))\n", "data=.*street.py: no val_dataloader.dataset"),
    ],
)
def test_a_file_that_is_no_part_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = str(tmp_path / "street.py") if text is None else write(tmp_path / "street.py", text)
    with pytest.raises(InputError, match=told):
        compose("lora", data=path, **CAMVID)


@pytest.mark.parametrize(
    ("part", "text", "told"),
    [
        ("method", "model = 3\n", "has no model.backbone"),
        ("method", "model = dict(backbone=3)\n", "model.backbone must be a dict"),
        ("method", "model = dict(backbone=dict(prompts=3))\n", "prompts must be a dict"),
        ("method", "model = dict(backbone=dict(prompts=dict(kind='deep')))\n", "no model.backbone.prompts.num_prompts"),
        ("schedule", "optim_wrapper = dict(optimizer=dict(type='SGD'))\n", "no train_cfg"),
        ("trunk", "model = dict(backbone=dict(out_indices=[3]))\n", "no model.decode_head"),
    ],
)
def test_a_part_elsewhere_without_what_its_task_needs_is_refused(
    tmp_path: Path, part: str, text: str, told: str
) -> None:
    parts = dict(method="lora", data="camvid_168x224", **CAMVID)
    if part == "trunk":
        del parts["head"]
    path = write(tmp_path / "mine.py", text)
    with pytest.raises(InputError, match=f"mine.py.*{told}"):
        compose(**{**parts, part: path})


def test_of_classification_a_schedule_elsewhere_wants_a_rate_and_the_form_of_ours(tmp_path: Path) -> None:
    mine = write(tmp_path / "long.py", '_base_ = "davpt_100e.py"\ntrain_dataloader = dict(batch_size=20)\n')
    cfg = compose("vpt_deep", data="vtab/dtd", schedule=mine, lr=0.5, epochs=20)
    assert (cfg.train_dataloader.batch_size, cfg.optim_wrapper.optimizer.lr, cfg.train_cfg.max_epochs) == (20, 0.5, 20)
    with pytest.raises(InputError, match=r"long\.py sets no learning rate: add lr="):
        compose("vpt_deep", data="vtab/dtd", schedule=mine)
    with pytest.raises(InputError, match="samples_per_class=2: this schedule does not compose batches by class"):
        compose("vpt_deep", data="vtab/dtd", schedule="vpt_100e", lr=1, samples_per_class=2)
    iterations = write(tmp_path / "iters.py", '_base_ = "adamw_iters.py"\n')
    with pytest.raises(InputError, match="classification needs a schedule by epochs"):
        compose("vpt_deep", data="vtab/dtd", schedule=iterations, lr=1)


def test_experiments_composed_of_parts_that_are_read_once_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    camvid = "method=davpt,head=linear,trunk=vits14,data=camvid_crop112"
    many = [
        *(f"{camvid},split=choose,prompts=3", "method=lora,data=vtab/dtd"),
        *(f"{camvid},split=final", "method=davpt,data=vtab/dtd,lr=0.1"),
    ]
    alone = [compose_from_words(words).pretty_text for words in many]
    read: list[str] = []
    fromfile = Config.fromfile
    monkeypatch.setattr(Config, "fromfile", lambda path: read.append(str(path)) or fromfile(path))
    with each_read_once():
        assert [compose_from_words(words).pretty_text for words in [*many, *many]] == [*alone, *alone]
    assert len(read) == len(set(read)) == 2 + 2 + 2 + 2 + 2  # data, trunks, schedules, runtimes, methods
    compose_from_words(many[0])
    assert len(read) == 15


JOINED = """
_base_ = {base!r}
train_dataloader = dict(dataset=dict(_delete_=True, type={kind!r}, {content}))
"""


@pytest.mark.parametrize("kind", ["ConcatDataset", "RepeatDataset"])
def test_joined_and_repeated_data_sets_are_composed_and_not_divided(kind: str, tmp_path: Path) -> None:
    one = "{{_base_.train_dataloader.dataset}}"
    content = f"dataset={one}, times=2" if kind == "RepeatDataset" else f"datasets=[{one}, {one}]"
    path = write(tmp_path / "mine.py", JOINED.format(base="camvid_168x224.py", kind=kind, content=content))
    assert compose("linear", data=path, **CAMVID).model.decode_head.num_classes == 11
    for word in (dict(split="choose"), dict(train_images=4)):
        with pytest.raises(InputError, match=f"{next(iter(word))}=.* the data part's are a {kind}"):
            compose("linear", data=path, **CAMVID, **word)
