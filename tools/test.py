#!/usr/bin/env python
"""Test a checkpoint: python tools/test.py CONFIG CHECKPOINT [--tta] [--show-dir DIR] (--help for options)."""

from davpt_seg.commands.test import main_test

if __name__ == "__main__":
    main_test()
