#!/usr/bin/env python
"""Test a checkpoint: python tools/test.py CONFIG CHECKPOINT [--tta] [--show-dir DIR] (--help for options)."""

from davpt_seg.apis import test_main

if __name__ == "__main__":
    test_main()
