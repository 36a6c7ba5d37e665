#!/usr/bin/env python
"""Segment images: python tools/predict.py [CONFIG] CHECKPOINT IMAGE... [--show] (--help for options)."""

import sys

from davpt_seg.cli import run

if __name__ == "__main__":
    sys.exit(run("predict"))
