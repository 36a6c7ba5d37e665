"""Experiments from words, for Python users; :mod:`davpt_seg.experiments` makes them."""

from ..experiments.compose import compose, compose_from_words

__all__ = ["compose", "compose_from_words"]
