"""Predict images with several adapters at once: one frozen ViT, one forward pass, labels of each task."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Optional, Union, overload

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn

from ..core.adapter_folder.backbone import TrunkSource
from ..core.adapter_folder.loading import load_trunk
from ..core.adapter_folder.places import is_folder
from ..core.task_bank import TaskBank
from ..errors import InputError, nearest
from ..models.prompted_vit import OUT_TYPES
from ..training.refusals import step
from .image_model import PREDICTS
from .open_trained import check_device
from .paths import path_of
from .pixels import ImageInput, Images, each
from .predictor import WINDOWS, Predictor, labels_of


class TaskPredictor:
    """Segmentors of several adapter folders on one frozen ViT.

    >>> tasks = TaskPredictor({"street": "street/", "crops": "hub:ada/crops"}, trunk="vit.safetensors")
    >>> labels = tasks("photo.jpg")  # {"street": (H, W), "crops": (H, W)}

    Tasks that prepare and cut an image in the same way share one pass of a :class:`~davpt_seg.core.task_bank.TaskBank`,
    in which only prompts, adapters and heads differ; others take a pass each. Threads take turns.

    Args:
        adapters: folders, or ``hub:USER/NAME``, by name of task.
        trunk: weights of the ViT, as :func:`~davpt_seg.apis.load_adapter` takes them.
        mode: ``slide`` or ``whole``; by default each folder's.
        device: torch's name of a device; by default the accelerator if there is one.
        trust_config: see :class:`~davpt_seg.apis.Predictor`.

    Raises:
        InputError: no adapters, what is no adapter folder, one that does not fit the ViT of the first, or a device that
            torch does not have.
    """

    def __init__(
        self,
        adapters: Mapping[str, Union[str, os.PathLike[str]]],
        trunk: TrunkSource = None,
        mode: Optional[str] = None,
        device: Optional[str] = None,
        trust_config: bool = False,
    ) -> None:
        if not adapters or not isinstance(adapters, Mapping):
            raise InputError(f"adapters must be a dict of at least one adapter folder by name, got {adapters!r:.80}")
        check_device(device)
        self._mode, self._device, self._trust = mode, device or str(get_device()), trust_config
        for folder in adapters.values():
            _require_folder(folder)
        shared = load_trunk(next(iter(adapters.values())), trunk).to(self._device)
        self._bank = TaskBank(shared)
        self._predictors: dict[str, Predictor] = {}
        self._lock = threading.RLock()
        for name, folder in adapters.items():
            self.add(name, folder)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks, in the order in which they were added."""
        return tuple(self._predictors)

    def __getitem__(self, name: str) -> Predictor:
        """Return the predictor of one task, with its classes and palette."""
        return self._predictors[self._known(name)]

    def add(self, name: str, folder: Union[str, os.PathLike[str]]) -> None:
        """Add a task; the ViT is not built again.

        Raises:
            InputError: a name that is taken, what is no adapter folder, or one of another ViT.
        """
        if name in self._predictors:
            raise InputError(f"task {name!r} is here already: remove it first, or choose another name")
        _require_folder(folder)
        predictor = Predictor(
            folder, mode=self._mode, device=self._device, trust_config=self._trust, trunk=self._bank.model
        )
        model: Any = predictor.model
        if type(model) is not EncoderDecoder:
            raise InputError(
                f"adapter {os.fspath(folder)!r} is of a {type(model).__name__}; several adapters predict together "
                "where each is an EncoderDecoder: predict with this one alone"
            )
        with self._lock:
            self._bank.add(name, model.backbone)
            self._predictors[name] = predictor

    def remove(self, name: str) -> None:
        """Remove a task.

        Raises:
            InputError: an unknown name.
        """
        with self._lock:
            self._bank.remove(self._known(name))
            del self._predictors[name]

    @overload
    def __call__(self, image: ImageInput, tasks: Optional[Sequence[str]] = None) -> dict[str, np.ndarray]: ...
    @overload
    def __call__(self, image: Images, tasks: Optional[Sequence[str]] = None) -> list[dict[str, np.ndarray]]: ...
    def __call__(
        self, image: Union[ImageInput, Images], tasks: Optional[Sequence[str]] = None
    ) -> Union[dict[str, np.ndarray], list[dict[str, np.ndarray]]]:
        """Return the class of every pixel, (H, W), of each task; a list of such dicts for a list of images.

        Args:
            image: one image, as :meth:`Predictor.__call__` takes it.
            tasks: names of tasks; by default all.

        Raises:
            InputError: an unknown name, a file that is no image, or an image in another layout, type or range.
        """
        return each(partial(self._one, tasks=tasks), image)

    def _one(self, image: ImageInput, tasks: Optional[Sequence[str]]) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        with self._lock:
            chosen = {name: self[name] for name in (self.tasks if tasks is None else tasks)}
            for names in self._passes(chosen):
                pixels = chosen[names[0]].read(image)
                with step(f"adapters {', '.join(names)}: this image cannot be predicted ({PREDICTS})", WINDOWS):
                    found.update(self._label(names, pixels))
        return {name: found[name] for name in chosen}

    @torch.no_grad()
    def _label(self, names: Sequence[str], pixels: np.ndarray) -> dict[str, np.ndarray]:
        first, models = self._predictors[names[0]], [self._predictors[name].model for name in names]
        joint = _Joint(self._bank, dict(zip(names, models))).eval()
        data = models[0].data_preprocessor(pseudo_collate([first.pipeline(dict(img=pixels))]), False)
        metas = [sample.metainfo for sample in data["data_samples"]]
        logits = joint.inference(data["inputs"], metas).split([model.out_channels for model in models], dim=1)
        labels = {}
        for name, model, own in zip(names, models, logits):
            samples = [type(sample)(metainfo=sample.metainfo) for sample in data["data_samples"]]
            (sample,) = model.postprocess_result(own, samples)
            labels[name] = labels_of(sample)
        return labels

    def _known(self, name: str) -> str:
        if name not in self._predictors:
            raise InputError(f"task {name!r} is not here; {nearest(name, self._predictors)}")
        return name

    def _passes(self, predictors: Mapping[str, Predictor]) -> list[list[str]]:
        """Return the names of tasks that share a pass."""
        passes: list[tuple[Any, list[str]]] = []
        for name, predictor in predictors.items():
            way = _way(predictor)
            names = next((names for other, names in passes if other == way), None)
            if names is None:
                passes.append((way, [name]))
            else:
                names.append(name)
        return [names for _, names in passes]


class _Joint(EncoderDecoder):
    """Several segmentors as one, whose logits are concatenated.

    Args:
        bank: with their backbones as tasks.
        models: segmentors by name of task, of the same test mode.
    """

    def __init__(self, bank: TaskBank, models: Mapping[str, Any]) -> None:
        nn.Module.__init__(self)
        first = next(iter(models.values()))
        self.bank, self.models = bank, models
        self.test_cfg, self.align_corners = first.test_cfg, first.align_corners
        self.out_channels = sum(model.out_channels for model in models.values())

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Return the logits of all tasks, (B, sum of classes, H, W), of one pass of the ViT."""
        names = [name for name in self.models for _ in range(len(inputs))]
        outputs = self.bank(inputs.repeat(len(self.models), 1, 1, 1), names)
        logits = []
        for name, model in self.models.items():
            out_type = model.backbone.out_type
            features = getattr(outputs[name].features, OUT_TYPES[out_type])
            features = features if out_type == "featmap" else (features,)
            features = model.neck(features) if model.with_neck else features
            logits.append(model.decode_head.predict(features, batch_img_metas, model.test_cfg))
        return torch.cat(logits, dim=1)


def _require_folder(folder: Union[str, os.PathLike[str]]) -> None:
    if not is_folder(path_of(folder, "an adapter")):
        raise InputError(
            f"adapter {os.fspath(folder)!r} is no adapter folder; davpt-seg export CHECKPOINT --out DIR writes one"
        )


def _way(predictor: Predictor) -> Any:
    """Return how a predictor prepares and cuts an image; those of equal ones may share a pass."""
    model: Any = predictor.model
    preprocessor = model.cfg.get("data_preprocessor") or model.cfg.model.get("data_preprocessor")
    return predictor.steps, preprocessor, model.test_cfg, model.align_corners
