#!/usr/bin/env python
"""Run tasks x trunks x methods x seeds into one table: python tools/run_benchmark.py vtab (--help for examples)."""

import sys

from davpt_seg.benchmark.command import main_benchmark

if __name__ == "__main__":
    sys.exit(main_benchmark())
