#!/usr/bin/env python
"""Show which classes shared a prompt: python tools/mapping_report.py WORK_DIR (--help for options)."""

import sys

from davpt_seg.cli import run

if __name__ == "__main__":
    sys.exit(run("mapping"))
