"""Check of --cfg-options, and their application to a config."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner

from ..core.guidance.old_guidance import current_option
from ..core.weights import WeightsFile
from ..errors import InputError, near_names, nearest, some
from .config_files import use_current_guidance
from .normalisation import follow_model_name, named_normalisation
from .option_values import value_text
from .other_keys import current_key

# Keys, besides Runner's arguments, that Runner.from_cfg, MMEngine's model wrapping and our scripts read.
READ_BY_OTHERS = {
    "activation_checkpointing", "compile", "custom_imports", "data_check", "efficient_conv_bn_eval",
    "find_unused_parameters", "model_wrapper_cfg", "sync_bn", "tta_model", "tta_pipeline",
}  # fmt: skip
#: Arguments of the data sets that hold another one's images.
OF_PARTS = {
    "TrainingPart": {"type", "dataset", "part", "seed"},
    "RandomSubset": {"type", "dataset", "num_images", "seed"},
}
SEPARATORS = "/\\"  # of the folders in a path
MISSPELLED = 0.85  # smallest similarity: 'promts' and 'prompts' have 0.92, 'prompt_side' and 'prompt_scale' 0.78


def put_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Check options and apply them to a config.

    A dict is merged into a dict, unless it has ``'_delete_': True``, and replaces any other value. MMEngine's
    ``merge_from_dict`` fails if a dict replaces another value, and on an entry of a list or tuple that is no dict.

    Another ``model_name`` sets its mean and standard deviation, if the config had those of the earlier name.

    Old names of guidance's arguments are replaced by the current ones, in the options and in the config. Arguments of a
    data set reach it also where it is divided.

    Raises:
        InputError: see :func:`check_options`; or two options set one argument, by its old and its current name.
    """
    use_current_guidance(cfg.get("model"))
    current = [_current(key, value) for key, value in options.items()]
    keys = [key for key, _ in current]
    for old, key in zip(options, keys):
        if old != key and keys.count(key) > 1:
            raise InputError(f"--cfg-options {old} is the old name of {key}, which is set as well; omit {old}")
    options = _weights_joined(cfg, {_in_parts(cfg, key): value for key, value in current})
    check_options(cfg, options)
    before = named_normalisation(cfg)
    for key, value in options.items():
        first, *path = key.split(".")
        cfg[first] = _changed(cfg.get(first), path, value)
    follow_model_name(cfg, before)


def _in_parts(cfg: Config, key: str) -> str:
    """Return the key of a data set's argument where ``split=choose`` and ``train_images`` have put the data set.

    ``train_dataloader.dataset.pipeline.2.prob`` is then ``train_dataloader.dataset.dataset.pipeline.2.prob``.
    """
    names = key.split(".")
    if len(names) < 3 or not names[0].endswith("_dataloader") or names[1] != "dataset":
        return key
    node, at = (cfg.get(names[0]) or {}).get("dataset"), 2
    while isinstance(node, Mapping) and names[at] not in OF_PARTS.get(str(node.get("type")), {names[at]}):
        names.insert(at, "dataset")
        node, at = node.get("dataset"), at + 1
    return ".".join(names)


def _weights_joined(cfg: Config, options: dict[str, Any]) -> dict[str, Any]:
    """Make a dict of a path of weights and its options, where the config or another option has the path alone."""
    names = {field.name for field in dataclasses.fields(WeightsFile)}
    for option in [option for option in options if ".weights." in option]:
        key, _, name = option.rpartition(".")
        node: Any = cfg
        for part in key.split("."):
            node = node.get(part) if isinstance(node, (Mapping, Config)) else None
        given = options.get(key, node)
        if name in names and key.endswith(".weights") and (isinstance(given, str) or key in options):
            before = given if isinstance(given, Mapping) else {"path": given}
            options[key] = {**before, name: options.pop(option)}
    return options


def _current(key: str, value: Any) -> tuple[str, Any]:
    """Return an option with old names of guidance's arguments replaced, in its key or in the dict that it sets."""
    if not isinstance(value, Mapping):
        return current_option(key), value
    node: Any = copy.deepcopy(dict(value))
    for name in reversed(key.split(".")):
        node = {name: node}
    use_current_guidance(node)
    for name in key.split("."):
        node = node[name]
    return key, node


def _changed(node: Any, path: Sequence[str], value: Any) -> Any:
    """Return a node with a value set at a path below it, which check_options has checked."""
    if not path:
        return _merged(node, value)
    key, *rest = path
    if isinstance(node, (list, tuple)):
        items = list(node)
        items[int(key)] = _changed(items[int(key)], rest, value)
        return type(node)(items)
    node = ConfigDict() if node is None else node
    node[key] = _changed(node.get(key), rest, value)
    return node


def _merged(old: Any, value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    if not isinstance(old, dict) or value.get("_delete_"):
        return ConfigDict({key: each for key, each in value.items() if key != "_delete_"})
    for key, each in value.items():
        old[key] = _merged(old.get(key), each)
    return old


def check_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Refuse options that are misspelled or come too late.

    MMEngine silently adds a key that a config does not have. Here, a new key is refused if it resembles an existing
    one, or if nothing reads it; other new keys are passed to their class, which refuses unknown ones.

    Args:
        cfg: config before the options are applied.
        options: values by dotted key, from :class:`~davpt_seg.experiments.option_values.OptionsAction`.

    Raises:
        InputError: there is such an option; the message has similar names.
    """
    content = cfg.to_dict()
    for option in options:
        _check_variable(content, option.partition(".")[0], option)
        node: Any = content
        path = ""
        for key in option.split("."):
            if isinstance(node, (list, tuple)):
                if not (key.isascii() and key.isdecimal() and len(key) < 10 and int(key) < len(node)):
                    raise InputError(
                        f"--cfg-options {option}: {path} has the entries 0 to {len(node) - 1}, not {key!r}"
                    )
                node = node[int(key)]
            elif not isinstance(node, Mapping):
                raise InputError(f"--cfg-options {option}: {path} is {node!r} and holds no {key!r}; set {path} itself")
            elif key in node:
                node = node[key]
            else:
                _check_new_key(key, node, path, option)
                break
            path = f"{path}.{key}".lstrip(".")
        else:
            _check_path(option, node, options[option])


def _check_path(option: str, old: Any, new: Any) -> None:
    """Refuse a list in place of a path, which had a comma without quotes."""
    texts = isinstance(old, str) and isinstance(new, list) and all(isinstance(each, str) for each in new)
    if texts and any(set(text) & set(SEPARATORS) for text in (old, *new)):
        quoted = shlex.quote(f"{option}={value_text(','.join(new))}")
        raise InputError(
            f"--cfg-options {option} is the text {old!r}, and a comma outside of quotes makes a list, {new}; for a "
            f"text with a comma: {quoted}"
        )


def _runner_keys() -> set[str]:
    return READ_BY_OTHERS | set(inspect.signature(Runner.__init__).parameters) - {"self"}


def _check_new_key(key: str, node: Mapping[str, Any], path: str, option: str) -> None:
    known = set(node) if path else _runner_keys() | set(node)
    if not path and key in known:
        return
    if not path and (current := current_key(option)):
        raise InputError(f"--cfg-options {option}: the config has no {key!r}; here it is {current}")
    near = near_names(key, known, MISSPELLED)
    if near or not path:
        hint = nearest(key, sorted(known if near else node))
        raise InputError(
            f"--cfg-options {option}: {path or 'the config'} has no {key!r}; {hint} (To add a new key anyway, set it "
            "in a config file.)"
        )


def _check_variable(cfg: Mapping[str, Any], name: str, option: str) -> None:
    """Refuse a variable of the config file, because its value was already copied to its places of use."""
    if name not in cfg or name in _runner_keys():
        return
    copies = [path for key in _runner_keys() & set(cfg) for path in _places(cfg[key], cfg[name], key)]
    if copies:
        raise InputError(
            f"--cfg-options {option}: {name} is a variable of the config file, which is read before options; set it "
            f"where it is used: {some(sorted(copies))}"
        )


def _places(node: Any, value: Any, path: str) -> Iterator[str]:
    """Yield the places where a config holds a value."""
    if type(node) is type(value) and node == value:
        yield path
    elif isinstance(node, Mapping):
        for key, child in node.items():
            yield from _places(child, value, f"{path}.{key}")
    elif isinstance(node, (list, tuple)):
        for i, child in enumerate(node):
            yield from _places(child, value, f"{path}.{i}")
