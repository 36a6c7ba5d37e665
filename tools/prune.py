#!/usr/bin/env python
"""Prune trained prompts: python tools/prune.py CONFIG CHECKPOINT --out FILE, or the whole cycle (--help)."""

import sys

from davpt_seg.commands.prune import main_prune

if __name__ == "__main__":
    sys.exit(main_prune())
