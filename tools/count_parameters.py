#!/usr/bin/env python
"""Count trained parameters: python tools/count_parameters.py CONFIG... (--help for options)."""

import sys

from davpt_seg.cli import run

if __name__ == "__main__":
    sys.exit(run("count"))
