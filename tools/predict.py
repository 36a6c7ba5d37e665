#!/usr/bin/env python
"""Segment images: python tools/predict.py [CONFIG] CHECKPOINT IMAGE... [--show] (--help for options)."""

from davpt_seg.commands.predict import main_predict

if __name__ == "__main__":
    main_predict()
