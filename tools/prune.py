#!/usr/bin/env python
"""Prune trained prompts: python tools/prune.py CONFIG CHECKPOINT --out FILE, or run the complete cycle (--help)."""

import sys

from davpt_seg.cli import run

if __name__ == "__main__":
    sys.exit(run("prune"))
