"""Hostile checkpoints, each of which tries to create a file when it is read or its config is used.

All are made from a real checkpoint, so that nothing but the attack can be the reason to refuse them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from torch._tensor import _rebuild_from_type_v2

Content = dict[str, Any]


class Call:
    """Pickled as the call of a function, which the unpickler makes."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


class Filled(Call):
    """Pickled as a call, and as the state that its result is given."""

    def __init__(self, state: Any, function: Any, *arguments: Any) -> None:
        super().__init__(function, *arguments)
        self.state = state

    def __reduce__(self) -> Any:
        return self.function, self.arguments, self.state


def creates(target: Path) -> str:
    """Return Python code that creates a file."""
    return f"open({str(target)!r}, 'w').close()"


def getattr_chain(target: Path, owner: Any = HistoryBuffer) -> Call:
    """Reach ``exec`` through the globals of a method, with torch's own function that calls any function."""
    builtins = Call(getattr, Call(getattr, owner, "__init__"), "__builtins__")
    item = Call(getattr, builtins, "__getitem__")
    execute = Call(_rebuild_from_type_v2, item, Call(getattr, item, "__class__"), ("exec",), {})
    return Call(_rebuild_from_type_v2, execute, torch.Tensor, (creates(target),), {})


# What is unpickled: a call, by the target that it would create.
CALLS: dict[str, Callable[[Path], Any]] = {
    "getattr chain from HistoryBuffer": getattr_chain,
    "getattr chain from a tensor": lambda target: getattr_chain(target, torch.Tensor),
    "getattr chain from a dict": lambda target: getattr_chain(target, torch.Size),
    "os.system": lambda target: Call(os.system, f"touch {target}"),
    "exec": lambda target: Call(exec, creates(target)),
    "eval through torch's function": lambda target: Call(
        _rebuild_from_type_v2, eval, torch.Tensor, (creates(target),), {}
    ),
    "statistic of a history": lambda target: Call(getattr, HistoryBuffer, "register_statistics"),
}


ADDRESS = b"A" * 8  # of an object, if NumPy took these bytes for one
OBJECTS = Call(np.dtype, "O")


def dtype(*state: Any) -> Filled:
    """A ``numpy.dtype`` of 8-byte numbers with parts of its own: (subarray, names, fields, size, alignment, flags)."""
    return Filled((3, "<", *state), np.dtype, "f8", False, True)


def array(kind: Any, content: Any = ADDRESS) -> Filled:
    return Filled((1, (1,), kind, False, content), np.zeros(0).__reduce__()[0], np.ndarray, (0,), b"b")


# NumPy's constructors with bytes in the place of objects: the process dies, or runs what the bytes lead to.
ARRAYS: dict[str, Any] = {
    "objects in a buffer": Call(np.ndarray, (1,), "O", ADDRESS),
    "objects in a field": Call(np.ndarray, (1,), dtype(None, ("a",), {"a": (OBJECTS, 0)}, 8, 8, 63), ADDRESS),
    "objects in a subarray": array(dtype((OBJECTS, (1,)), None, None, 8, 8, 0)),
    "flags of objects": array(dtype(None, None, None, -1, -1, 63)),
    "list of objects": array(OBJECTS, [[]]),
    "number as object": Call(np.float64(0).__reduce__()[0], OBJECTS, []),
    "cut-off number": Call(np.float64(0).__reduce__()[0], np.dtype("f8"), b"A"),
    "array of another kind": Call(np.zeros(0).__reduce__()[0], np.dtype, (0,), b"b"),
}


def as_extra(content: Content, call: Any) -> Content:
    return {**content, "notes": call}


def as_weight(content: Content, call: Any) -> Content:
    return {**content, "state_dict": {**content["state_dict"], "evil": call}}


def as_history(content: Content, call: Any) -> Content:
    hub = content["message_hub"]
    return {**content, "message_hub": {**hub, "log_scalars": {**hub["log_scalars"], "evil": call}}}


PICKLE = "dict(type='CrossEntropyLoss', class_weight='evil.pkl')"  # mmseg reads it when it builds the loss


def heads(tasks: str) -> str:
    """Return a model whose head builds all values of a dict, whatever their keys are."""
    head = f"dict(type='mmpretrain.MultiTaskHead', task_heads=dict({tasks}))"
    return f"model = dict(type='EncoderDecoder', decode_head={head})"


# Statements that an embedded config ends with; the last one of a name wins.
CONFIGS: dict[str, Callable[[Path], str]] = {
    "code": lambda target: f"x = {creates(target)}",
    "import": lambda target: f"import os\nos.system('touch {target}')",
    "template with octal escapes": lambda target: (
        rf"x = '{{{{$NO_SUCH_VARIABLE:\47 + str(open(\47{target}\47, \47w\47)) + \47}}}}'"
    ),
    "dotted type": lambda target: f"model = dict(type='os.system', command='touch {target}')",
    "dotted type in an allowed package": lambda target: (
        f"data_preprocessor = dict(type='mmengine.fileio.dump', obj=1, file='{target}.json')"
    ),
    "custom import": lambda target: "custom_imports = dict(imports=['creates_a_file'])",
    "custom import of an allowed package that lies in the working folder": lambda target: (
        "custom_imports = dict(imports=['mmdet'])"
    ),
    "scope that lies in the working folder": lambda target: "default_scope = 'mmdet'",
    "import by the name of a layer": lambda target: (
        "model = dict(type='EncoderDecoder', decode_head=dict(type='FCNHead', in_channels=8, channels=8, "
        "num_classes=2), "
        "backbone=dict(type='TIMMBackbone', model_name='resnet18', norm_layer='creates_a_file.Norm'))"
    ),
    "import by the name of a function": lambda target: (
        "test_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]), "
        "collate_fn='creates_a_file.collate')"
    ),
    "custom import as text": lambda target: "custom_imports = dict(imports='creates_a_file')",
    "module as type": lambda target: "model = dict(type='creates_a_file')",
    "scope": lambda target: "model = dict(type='EncoderDecoder', _scope_='creates_a_file')",
    "scope in a type": lambda target: "model = dict(type='creates_a_file.Model')",
    "default scope": lambda target: "default_scope = 'creates_a_file'",
    "base file": lambda target: "_base_ = ['creates_a_file.py']",
    "memcached": lambda target: (
        "test_pipeline = [dict(type='LoadImageFromFile', backend_args=dict(backend='memcached', sys_path='.'))]"
    ),
    "torchvision's eval": lambda target: (
        "default_scope = 'mmpretrain'\ntest_pipeline = [dict(type='torchvision/ConvertImageDtype', "
        f"dtype={f'float or {creates(target)}'!r})]"
    ),
    "pickle of class weights": lambda target: (
        "model = dict(type='EncoderDecoder', decode_head=dict(type='FCNHead', loss_decode="
        "dict(type='CrossEntropyLoss', class_weight='evil.pkl')))"
    ),
    "pickle by a data preprocessor beside the model": lambda target: (
        "model = dict(type='EncoderDecoder', backbone=dict(type='ReLU'), decode_head=dict(type='ReLU'))\n"
        f"data_preprocessor = {PICKLE}"
    ),
    "pickle in what looks like weights": lambda target: heads(f"weights={PICKLE}"),
    "pickle in what looks like an initialiser": lambda target: heads(f"init_cfg={PICKLE}"),
    "pickle in what looks like an initialiser's part": lambda target: heads(f"a=dict(init_cfg=dict(b={PICKLE}))"),
    "pickle in what looks like a PromptedViT": lambda target: heads(f"init_cfg={PICKLE}, type='PromptedViT'"),
    "pickle under a key with dots": lambda target: heads(f"{{'a.init_cfg.b': {PICKLE}}}"),
    "pickle in lists of lists": lambda target: heads(f"a=dict(type='FCNHead', loss_decode=[[{PICKLE}]])"),
    "dotted type under a key with dots": lambda target: heads(
        f"{{'optim_wrapper.clip_grad': dict(type='os.mkdir', path='{target.name}')}}"
    ),
    "weights that are read while a model is built": lambda target: (
        "model = dict(type='EncoderDecoder', backbone=dict(type='mmpretrain.LoRAModel', targets=[dict(type='ReLU')], "
        "module=dict(type='PromptedViT', model_name='vit_tiny_patch16_224', weights=dict(path='evil', "
        "trust_pickle=True))))"
    ),
    "import by the name of a resize": lambda target: (
        "test_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImageFromFile'), "
        "dict(type='RandomResize', scale=(8, 8), resize_type='creates_a_file.Resize')]))"
    ),
    "import by the name of a convolution": lambda target: (
        "model = dict(type='EncoderDecoder', backbone=dict(type='mmpretrain.VisionTransformer', "
        "patch_cfg=dict(conv_type='creates_a_file.Conv')))"
    ),
    "import by the name of a padding": lambda target: (
        "model = dict(type='EncoderDecoder', backbone=dict(type='ConvModule', in_channels=3, out_channels=3, "
        "kernel_size=1, padding_mode='creates_a_file.Pad'))"
    ),
    "import by the name of a backend": lambda target: (
        "test_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImageFromFile', "
        "backend_args=dict(backend='petrel'))]))"
    ),
    "file of the working folder": lambda target: (
        "default_scope = 'mmpretrain'\nmodel = dict(type='ImageClassifier', "
        "backbone=dict(type='TIMMBackbone', model_name='resnet18', checkpoint_path='evil'))"
    ),
    "code of a model hub": lambda target: (
        "default_scope = 'mmpretrain'\n"
        "model = dict(type='HuggingFaceClassifier', model_name='evil/model', trust_remote_code=True)"
    ),
    "visualizer that writes": lambda target: f"visualizer = dict(type='SegLocalVisualizer', save_dir='{target}')",
    "long chain of minus": lambda target: f"x = 1{'-1' * 100_000}",
    "long chain of brackets": lambda target: f"x = a{'[0]' * 100_000}",
    "long chain of calls": lambda target: f"x = dict{'()' * 100_000}",
    "deep brackets": lambda target: f"x = {'[' * 10_000}{']' * 10_000}",
    "deep minus": lambda target: f"x = {'-' * 100_000}1",
    "deep tuple of calls": lambda target: f"x = {'dict(a=' * 5_000}1{')' * 5_000}",
    "power": lambda target: "x = 9**9**9",
    "repeated text": lambda target: "x = 'a' * 10_000_000_000",
    "long number": lambda target: f"x = {'9' * 1_000_000}",
    "f-string": lambda target: f"x = f'{{{creates(target)}}}'",
    "decorator": lambda target: "@print\nclass A: pass",
    "lambda": lambda target: f"x = (lambda: {creates(target)})()",
    "starred dict": lambda target: "x = dict(**{'a': 1})",
    "attribute target": lambda target: "x.y = 1",
}


# The same, in keys that only a training builds: they are dropped.
DROPPED: dict[str, Callable[[Path], str]] = {
    "dotted type of a hook": lambda target: f"custom_hooks = [dict(type='os.mkdir', path='{target}')]",
    "dotted type of a default hook": lambda target: f"default_hooks = dict(a=dict(type='os.mkdir', path='{target}'))",
    "optimizer": lambda target: (
        f"optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='os.system', command='touch {target}'))"
    ),
    "training data": lambda target: (
        "train_dataloader = dict(batch_size=2, collate_fn='creates_a_file.collate', "
        "dataset=dict(type='creates_a_file.Data', backend_args=dict(backend='memcached', sys_path='.')))"
    ),
    "validation data": lambda target: "val_dataloader = dict(dataset=dict(type='creates_a_file.Data'))",
    "evaluator": lambda target: f"test_evaluator = [dict(type='os.mkdir', path='{target}')]",
    "schedule": lambda target: f"param_scheduler = [dict(type='os.mkdir', path='{target}')]",
    "strategy": lambda target: f"runner_type = 'os.mkdir'\nstrategy = dict(type='os.mkdir', path='{target}')",
    "loop": lambda target: f"train_cfg = dict(type='os.mkdir', path='{target}')",
    "logs": lambda target: f"log_processor = dict(type='os.mkdir', path='{target}')",
    "backend of logs": lambda target: (
        f"visualizer = dict(type='SegLocalVisualizer', vis_backends=[dict(type='os.mkdir', path='{target}')])"
    ),
    "notes": lambda target: f"notes = [dict(type='os.mkdir', path='{target}'), [dict(_scope_='creates_a_file')]]",
    "wrapper of the model": lambda target: "model_wrapper_cfg = dict(type='creates_a_file.Wrapper')",
}


def with_config(content: Content, statement: str) -> Content:
    """Return a checkpoint whose config, in all places where MMEngine looks for one, ends with a statement."""
    text = f"{content['meta']['cfg']}\n{statement}\n"
    hub = content["message_hub"]
    return {
        **content,
        "meta": {**content["meta"], "cfg": text, "config": text},
        "message_hub": {**hub, "runtime_info": {**hub["runtime_info"], "cfg": text}},
    }
