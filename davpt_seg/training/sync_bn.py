"""SyncBN where there is nobody to synchronise with."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.config import Config


def single_process_or_cpu(cfg: Config) -> bool:
    """Whether SyncBN has nobody to talk to, or no device to run on."""
    return cfg.launcher == "none" or not torch.cuda.is_available()


def replace_sync_bn(node: Any) -> int:
    """Turn every ``type='SyncBN'`` of a config into ``BN``, in place; return how many there were."""
    count = 0
    if isinstance(node, dict):
        if node.get("type") == "SyncBN":
            node["type"] = "BN"
            count += 1
        count += sum(replace_sync_bn(value) for value in node.values())
    elif isinstance(node, (list, tuple)):
        count += sum(replace_sync_bn(value) for value in node)
    return count
