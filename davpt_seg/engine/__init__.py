"""Hooks, optimizer wrappers and metrics for MMEngine's registries."""

import mmengine  # noqa: F401  (first, so that registration finds no half-imported module of ours)

from .atomic_checkpoint_hook import AtomicCheckpointHook
from .autocast_optim_wrapper import AutocastOptimWrapper
from .compile_hook import CompileBackboneHook
from .curves_hook import CurvesHook
from .data_mean_init_hook import DataMeanInitHook
from .exact_resume_hook import ExactResumeHook
from .finite_loss_hook import FiniteLossHook
from .float_heads_hook import FloatHeadsHook
from .metric_loss_hook import MetricLossHook
from .output_hooks import LabelMapHook, PaintedImageHook
from .panel_hook import PanelHook
from .prompt_mapping_hook import PromptMappingHook
from .segmentation_report import SegmentationReport
from .trained_table_hook import TrainedTableHook
from .wandb_backend import WandbBackend
from .warm_up_lr import WarmUpLR

__all__ = [
    "AtomicCheckpointHook",
    "AutocastOptimWrapper",
    "CompileBackboneHook",
    "CurvesHook",
    "DataMeanInitHook",
    "ExactResumeHook",
    "FiniteLossHook",
    "FloatHeadsHook",
    "LabelMapHook",
    "MetricLossHook",
    "PaintedImageHook",
    "PanelHook",
    "PromptMappingHook",
    "SegmentationReport",
    "TrainedTableHook",
    "WandbBackend",
    "WarmUpLR",
]
