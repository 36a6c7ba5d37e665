#!/usr/bin/env python
"""Test a checkpoint: python tools/test.py CONFIG CHECKPOINT [--tta] [--show-dir DIR] (--help for options)."""

import sys

from davpt_seg.cli import run

if __name__ == "__main__":
    sys.exit(run("test"))
