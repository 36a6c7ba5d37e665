#!/usr/bin/env python
"""Count what configs train: python tools/count_parameters.py CONFIG... (--help for options)."""

from davpt_seg.commands.count import main_count

if __name__ == "__main__":
    main_count()
