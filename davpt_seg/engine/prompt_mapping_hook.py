"""Hook that updates the class-to-prompt mapping."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Optional

import torch
from mmengine.dist import all_reduce, broadcast, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.runner.loops import EpochBasedTrainLoop

from ..core.annotations import Count, Number
from ..core.arguments import checked
from ..core.guidance.mapping import ClassPromptMapping
from ..core.guidance.mapping_log import FILE_NAME, Clustering, MappingLog
from ..errors import InputError
from .class_means_cache import ClassMeansCache, cache_key
from .data_pass import batch_size
from .first_pass import observe_training_images
from .guided import bare_model, guided_backbone


@HOOKS.register_module()
class PromptMappingHook(Hook):
    """Cluster classes before training, and again at the end of each epoch or every ``interval`` iterations.

    DA-VPT (arXiv 2505.23694), Sec. 3.4. If the classes do not outnumber the prompts, nothing is clustered. The
    guidance's ``mapping`` decides: a ``static`` one is clustered only before training, a ``random`` one never.

    The mapping is not updated after the last step, because no prompt would learn a new one.

    Every clustering is a line of ``mapping.jsonl`` in the work dir
    (:class:`~davpt_seg.core.guidance.mapping_log.Clustering`), which ``tools/mapping_report.py`` reads. Its time is the
    scalar ``kmeans_seconds``; the number of classes whose prompt
    changed is ``classes_moved``.

    Args:
        interval: iterations between two clusterings in iteration-based training, by default one pass over the data set;
            epochs in epoch-based training, by default 1. 0 keeps the first mapping.
        from_epoch: first epoch, counted from 1, at whose end classes are clustered again; the first mapping stays until
            then (the released configs: 1 or 10). Only for epoch-based training.
        first_pass_batches: number of batches of the bare ViT's pass for the first class means, on each process; None
            for the complete data set.
        first_pass_images_per_class: number of images with a patch of each class that ends the pass early (the released
            code: 10). None for no such end.
        cache_dir: folder for the first class means, for later runs on the same trunk, data and settings. None, the
            default, stores none, so that results do not depend on earlier runs.

    Raises:
        ValueError: a bound or an interval is too small or no integer.
    """

    @checked("PromptMappingHook")
    def __init__(
        self,
        interval: Optional[Number] = None,
        first_pass_batches: Optional[Count] = 200,
        first_pass_images_per_class: Optional[Count] = None,
        cache_dir: Optional[str] = None,
        from_epoch: Count = 1,
    ) -> None:
        self.interval = interval
        self.from_epoch = from_epoch
        self.bounds = dict(max_batches=first_pass_batches, images_per_class=first_pass_images_per_class)
        self.cache_dir = cache_dir
        self._log: Optional[MappingLog] = None

    def before_train(self, runner: Runner) -> None:
        """Compute the first mapping, unless a resumed checkpoint has it."""
        model = bare_model(runner)
        self._backbone, self._guidance = guided_backbone(model, "PromptMappingHook")
        self._mapping: ClassPromptMapping = self._guidance.mapping
        self._class_names = runner.train_dataloader.dataset.metainfo.get("classes") or [
            f"class {c}" for c in range(self._mapping.num_classes)
        ]
        if len(self._class_names) != self._mapping.num_classes:
            raise InputError(
                f"guidance num_classes is {self._mapping.num_classes}, but the training set has "
                f"{len(self._class_names)} classes"
            )
        if self.from_epoch > 1 and not self._by_epoch(runner):
            raise InputError(
                f"PromptMappingHook from_epoch={self.from_epoch}: this training counts iterations, not epochs; omit it"
            )
        if get_rank() == 0:
            self._log = MappingLog(Path(runner.work_dir) / FILE_NAME, runner.iter)
        if runner.iter == 0:
            self._mapping.reset()  # load_from may have loaded another data set's mapping
        if not self._mapping.shared:
            runner.logger.info("Each class has its own prompt:\n" + self._mapping.in_words(self._class_names))
        elif not self._mapping.needs_clustering:
            runner.logger.info("Classes to prompts, at random:\n" + self._mapping.in_words(self._class_names))
        elif not (self._guidance.patch_weight or self._guidance.cls_weight):
            runner.logger.info("Both guidance weights are 0: classes are not clustered.")
        elif not self._mapping.clustered:
            self._mapping.reset()
            self._first_means(runner)
            self._cluster(runner, runner.iter, runner.epoch)

    def after_train_epoch(self, runner: Runner) -> None:
        """Cluster again in epoch-based training."""
        last = runner.epoch + 1 >= runner.max_epochs
        if not self._by_epoch(runner) or not self._reclusters() or last:
            return
        if runner.epoch + 1 < self.from_epoch:
            self._mapping.forget_means()
        elif self.every_n_epochs(runner, 1 if self.interval is None else self.interval):
            self._cluster(runner, runner.iter, runner.epoch + 1)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Optional[dict] = None
    ) -> None:
        """Cluster again in iteration-based training."""
        # After the last step no prompt would learn the new mapping.
        if self._by_epoch(runner) or not self._reclusters() or runner.iter + 1 >= runner.max_iters:
            return
        interval = self.interval
        if interval is None:
            interval = max(1, len(runner.train_dataloader.dataset) // (batch_size(runner) * get_world_size()))
        if self.every_n_train_iters(runner, interval):
            self._cluster(runner, runner.iter + 1, runner.epoch)

    @staticmethod
    def _by_epoch(runner: Runner) -> bool:
        return isinstance(runner.train_loop, EpochBasedTrainLoop)

    def _reclusters(self) -> bool:
        return self._mapping.needs_reclustering and bool(self._mapping.clustered)

    def _first_means(self, runner: Runner) -> None:
        """Compute the class means with the bare ViT, or read them from the cache; they are complete on rank 0."""
        cache, key, cached = None, "", None
        if self.cache_dir is not None and get_rank() == 0:
            cache = ClassMeansCache(self.cache_dir)
            settings = dict(self.bounds, batch_size=batch_size(runner), processes=get_world_size())
            key = cache_key(runner, self._backbone, **settings)
            cached = cache.load(key)
            if cached is not None:
                self._mapping.load_means(*cached)
                runner.logger.info(f"First class means: from {cache.path(key)}")
        found = torch.tensor(cached is not None, dtype=torch.uint8, device=self._mapping.class_means.device)
        broadcast(found)
        if found:
            return
        observe_training_images(runner, self._backbone, self._guidance, **self.bounds)
        self._share_means()
        if cache is not None:
            path = cache.store(key, self._mapping.class_means, self._mapping.class_counts)
            runner.logger.info(f"First class means: stored for later runs in {path}")

    def _share_means(self) -> None:
        """Sum class means over all processes, because the first pass, in eval mode, does not."""
        sums, counts = self._mapping.sums(), self._mapping.class_counts.clone()
        all_reduce(sums)
        all_reduce(counts)
        self._mapping.set_means(sums, counts)

    def _cluster(self, runner: Runner, iterations: int, epochs: int) -> None:
        """Cluster on rank 0, from its class means, and send the result to every process.

        Args:
            runner: runner of the training.
            iterations: number of iterations trained so far.
            epochs: number of epochs trained so far; used only in epoch-based training.
        """
        mapping = self._mapping
        before = mapping.prompt_of_class.clone()
        seconds = self._recluster() if get_rank() == 0 else 0.0
        for buffer in mapping.buffers():
            shared = buffer.to(torch.uint8) if buffer.dtype == torch.bool else buffer.clone()
            broadcast(shared)
            buffer.copy_(shared)
        moved = int((mapping.prompt_of_class != before).sum())
        runner.logger.info(
            f"Classes to prompts: {moved} of {mapping.num_classes} classes moved, k-means took {seconds:.3f} s\n"
            + mapping.in_words(self._class_names)
        )
        if self._log is not None:
            self._log.write(
                Clustering(
                    iter=iterations,
                    epoch=epochs if self._by_epoch(runner) else None,
                    seconds=seconds,
                    moved=moved,
                    num_prompts=mapping.num_prompts,
                    prompt_of_class=mapping.prompt_of_class.tolist(),
                    classes=list(self._class_names),
                )
            )
            runner.visualizer.add_scalars(dict(kmeans_seconds=seconds, classes_moved=moved), step=iterations)

    def _recluster(self) -> float:
        """Run k-means, and return its time in seconds."""
        self._mapping.class_counts.tolist()  # waits for earlier steps that a GPU may not have finished
        start = time.perf_counter()
        self._mapping.recluster()
        return time.perf_counter() - start
