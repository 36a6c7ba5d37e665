#!/usr/bin/env python
"""Prune trained prompts: python tools/prune.py CONFIG CHECKPOINT --out FILE, or the whole cycle (--help)."""

from davpt_seg.apis.prune import main_prune

if __name__ == "__main__":
    main_prune()
