"""What a Python user imports; each name imports its heavy modules when it is first used.

* ``Predictor``: a trained segmentor that labels images.
* ``compose``: the config of an experiment, from its words.
* ``load_trained``: a trained model of a config, for everything else.
"""

from ..lazy import on_first_use

__all__ = ["Predictor", "compose", "load_trained"]

__getattr__ = on_first_use(
    __name__, predictor=("Predictor",), trained=("load_trained",), **{".experiments.compose": ("compose",)}
)
