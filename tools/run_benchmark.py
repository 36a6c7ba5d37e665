#!/usr/bin/env python
"""Run tasks x trunks x methods x seeds into one table: python tools/run_benchmark.py vtab (--help for examples)."""

import sys

from davpt_seg.cli import run

if __name__ == "__main__":
    sys.exit(run("benchmark"))
