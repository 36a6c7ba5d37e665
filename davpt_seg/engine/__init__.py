"""Hooks, optimizer wrappers and metrics for MMEngine's registries."""

from .autocast_optim_wrapper import AutocastOptimWrapper
from .data_mean_init_hook import DataMeanInitHook
from .metric_loss_hook import MetricLossHook
from .prompt_mapping_hook import PromptMappingHook
from .segmentation_report import SegmentationReport
from .trained_table_hook import TrainedTableHook

__all__ = [
    "AutocastOptimWrapper",
    "DataMeanInitHook",
    "MetricLossHook",
    "PromptMappingHook",
    "SegmentationReport",
    "TrainedTableHook",
]
