#!/usr/bin/env python
"""Train a config: python tools/train.py configs/davpt/upernet_vitl_ade20k.py (--help for options)."""

from davpt_seg.commands.train import main_train

if __name__ == "__main__":
    main_train()
