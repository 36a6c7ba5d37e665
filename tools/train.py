#!/usr/bin/env python
"""Train a config: python tools/train.py configs/davpt/upernet_vitl_ade20k.py (--help for options)."""

import sys

from davpt_seg.cli import run

if __name__ == "__main__":
    sys.exit(run("train"))
