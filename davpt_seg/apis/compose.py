"""Experiments from words, for Python users; :mod:`davpt_seg.experiments` makes them."""

from ..errors import InputError as CompositionError
from ..experiments.compose import compose, compose_from_words

__all__ = ["CompositionError", "compose", "compose_from_words"]
