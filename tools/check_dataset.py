#!/usr/bin/env python
"""Check a data set: python tools/check_dataset.py CONFIG, or --ade20k ROOT, --vtab ROOT ... (--help)."""

import sys

from davpt_seg.cli import run

if __name__ == "__main__":
    sys.exit(run("check-dataset"))
