#!/usr/bin/env python
"""Is a data set whole? python tools/check_dataset.py CONFIG, or --ade20k ROOT, --vtab ROOT ... (--help)."""

import sys

from davpt_seg.commands.check_dataset import main_check_dataset

if __name__ == "__main__":
    sys.exit(main_check_dataset())
