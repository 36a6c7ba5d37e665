#!/usr/bin/env python
"""Tell which classes shared a prompt: python tools/mapping_report.py WORK_DIR (--help for options)."""

from davpt_seg.commands.mapping import main_mapping

if __name__ == "__main__":
    main_mapping()
