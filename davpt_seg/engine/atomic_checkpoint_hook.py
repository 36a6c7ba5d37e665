"""Checkpoints of which the last one is complete, even if the process is killed."""

from __future__ import annotations

import math
import os.path as osp
from typing import Any, Optional

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.runner.loops import EpochBasedTrainLoop

from ..core.record import is_without_trunk
from ..core.weights.values import other_kinds
from ..errors import InputError, some
from ..trust.history import to_plain
from .atomic_files import AtomicLocalBackend, remove_unfinished
from .finite import require_finite
from .frozen_trunk import take_out_trunks, trunk_digests
from .guided import bare_model


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's ``CheckpointHook``, same arguments, in another order: write, point to what was written, then delete.

    MMEngine's hook first deletes the earlier checkpoint (``max_keep_ckpts``) and then writes the new one in place, so
    that a run that is killed meanwhile has no complete one. Here, local files are written under a temporary name and
    renamed when they are complete. Then ``last_checkpoint`` is written, and older files are deleted last. Files of
    another run, from which this one was resumed, stay.

    A checkpoint is written before the validation of its iteration, so that its file knows no score of it: a resumed run
    validates again, and the best checkpoint is that of an uninterrupted one.

    Parameters that are not finite are never written: the training ends instead, and the last checkpoint stays.

    Args:
        *args: of ``CheckpointHook``, as are ``**kwargs``.
        frozen: write the frozen ViT into every checkpoint. Our configs set False: a checkpoint then holds what was
            trained, and the source and fingerprint of the ViT, which is read again from its config's ``weights`` or
            ``pretrained`` (docs/adapters.md). A ViT that has no such source is written in any case.
    """

    backend_args: Optional[dict]

    def __init__(self, *args: Any, frozen: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not isinstance(frozen, bool):
            raise InputError(f"AtomicCheckpointHook frozen must be True or False, got {frozen!r}")
        self._stays_complete = frozen  # as it is found to be at the first checkpoint
        self._reported = False
        self._started: dict[str, str] = {}

    def before_train(self, runner: Runner) -> None:
        """Clean up after a killed run, and repeat the validation that follows the checkpoint that is resumed."""
        folder = self.out_dir or runner.work_dir
        if self.backend_args is None and type(get_file_backend(folder)) is LocalBackend:
            self.backend_args = dict(backend="atomic_local")
        super().before_train(runner)
        if is_main_process() and isinstance(self.file_backend, AtomicLocalBackend):
            for where in {osp.abspath(self.out_dir), osp.abspath(runner.work_dir)}:
                for name in remove_unfinished(where):
                    runner.logger.warning(f"Removed {osp.join(where, name)}: a run was killed while it wrote it.")
        if is_main_process() and not self._stays_complete:
            self._started = trunk_digests(bare_model(runner))
        if runner._resume and runner.val_loop is not None and _validation_is_due(runner.train_loop):
            runner.logger.info("The checkpoint was written before the validation that is due here: validating again.")
            runner.val_loop.run()

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        require_finite(runner, "before a checkpoint is written")
        outdated = None
        if self.max_keep_ckpts > 0 and (not self.keep_ckpt_ids or self.keep_ckpt_ids[-1] != step):
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated = self._path(self.keep_ckpt_ids.popleft())
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info("keep_ckpt_ids", list(self.keep_ckpt_ids))
        self.last_ckpt = self._path(step)
        runner.message_hub.update_info("last_ckpt", self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            self.filename_tmpl.format(step),
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            AtomicLocalBackend().put_text(self.last_ckpt, osp.join(runner.work_dir, "last_checkpoint"))
            self._remove(outdated)

    def save_interrupted(self, runner: Runner, number: int, key: str) -> str:
        """Save the training iteration that just ended as ``iter_N.pth``; it is not one of ``max_keep_ckpts``.

        Args:
            runner: the training's runner.
            number: the iteration's number, counted from 1.
            key: the message hub's key for the path, which the next training reads.

        Returns:
            The path.
        """
        path = self.file_backend.join_path(self.out_dir, f"iter_{number}.pth")
        if runner.message_hub.get_info("last_ckpt", None) == path:  # a regular one, written a moment ago
            return path
        require_finite(runner, "before a checkpoint is written")
        before = runner.message_hub.get_info(key, None)  # of an earlier interruption
        self.last_ckpt = path
        runner.message_hub.update_info("last_ckpt", path)
        runner.message_hub.update_info(key, path)
        runner.save_checkpoint(
            self.out_dir,
            f"iter_{number}.pth",
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            by_epoch=False,  # in the middle of an epoch, too
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            AtomicLocalBackend().put_text(path, osp.join(runner.work_dir, "last_checkpoint"))
            if before not in (None, path):
                self.remove_interrupted(runner, before)
        return path

    def remove_interrupted(self, runner: Runner, path: str) -> None:
        """Remove a file of :meth:`save_interrupted` that a regular checkpoint of this run replaced."""
        if self._is_own(runner, path):
            self._remove(path)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        """Keep the best so far until a better one is written. A score that is NaN is never the best."""
        if not self.save_best:
            return
        require_finite(runner, "before a best checkpoint is written")
        for name in self.key_indicators:
            if isinstance(metrics.get(name), float) and math.isnan(metrics[name]):
                runner.logger.warning(
                    f"The validation score {name} is NaN at iteration {runner.iter}: no best checkpoint."
                )
        before = self._best()
        self._set_best(dict.fromkeys(before))  # MMEngine's would delete it first
        super()._save_best_checkpoint(runner, metrics)
        after = self._best()
        self._set_best({name: after[name] or before[name] for name in before})
        for name, path in before.items():
            if is_main_process() and after[name] and path != after[name] and self._is_own(runner, path):
                self._remove(path)

    def _is_own(self, runner: Runner, path: Optional[str]) -> bool:
        """Return whether a file is in this run's folders: a resumed checkpoint may name the best of another run."""
        folders = {osp.realpath(folder) for folder in (self.out_dir, runner.work_dir)}
        return path is not None and osp.realpath(osp.dirname(path)) in folders

    def _best(self) -> dict[str, Optional[str]]:
        if len(self.key_indicators) == 1:
            return {"": self.best_ckpt_path}  # its name may still be "auto"
        return dict(self.best_ckpt_path_dict)

    def _set_best(self, paths: dict[str, Optional[str]]) -> None:
        if len(self.key_indicators) == 1:
            (self.best_ckpt_path,) = paths.values()
        else:
            self.best_ckpt_path_dict.update(paths)

    def _path(self, step: int) -> str:
        return self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(step))

    def _remove(self, path: Optional[str]) -> None:
        if path and self.file_backend.isfile(path):
            self.file_backend.remove(path)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Write what was logged as tensors, which torch reads without knowing MMEngine, and no frozen ViT if so set.

        Hooks of a higher priority, ``EMAHook`` among them, have added their part.
        """
        checkpoint["message_hub"] = to_plain(checkpoint["message_hub"])
        if self._stays_complete or not is_main_process():
            return
        report = take_out_trunks(bare_model(runner), checkpoint, self._started)
        self._stays_complete = not is_without_trunk(checkpoint["state_dict"])
        if report and not self._reported:
            runner.logger.info(report)
        self._reported = True

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Refuse weights that torch would convert without a word."""
        found = checkpoint.get("state_dict", checkpoint)
        if wrong := other_kinds(found, bare_model(runner).state_dict()):
            raise InputError(f"this checkpoint is not of the config's model: {some(wrong)}")


def _validation_is_due(loop: Any) -> bool:
    """Return whether a training loop of MMEngine would validate next, where it was stopped."""
    if not hasattr(loop, "_decide_current_val_interval"):  # a loop of another project
        return False
    loop._decide_current_val_interval()
    if isinstance(loop, EpochBasedTrainLoop):
        done, last = loop.epoch, loop.max_epochs
        between = loop.iter == loop.epoch * len(loop.dataloader)
    else:
        done, last, between = loop.iter, loop.max_iters, True
    return bool(done) and between and done >= loop.val_begin and (done % loop.val_interval == 0 or done == last)
