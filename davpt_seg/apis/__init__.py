"""What a Python user imports; each name imports its heavy modules when it is first used.

* ``Predictor``: a trained segmentor that labels images.
* ``Detector``: a trained detector that finds objects: boxes, scores, classes and masks.
* ``TaskPredictor``: several adapter folders on one frozen ViT, which label an image in one pass.
* ``compose``: the config of an experiment, from its words.
* ``load_trained``: a trained model of a config, for everything else.
* ``save_adapter``, ``load_adapter``: a trained task without its frozen ViT, as a folder to send and to load.
"""

from ..lazy import on_first_use

__all__ = ["Detector", "Predictor", "TaskPredictor", "compose", "load_adapter", "load_trained", "save_adapter"]

__getattr__ = on_first_use(
    __name__,
    adapters=("load_adapter", "save_adapter"),
    detector=("Detector",),
    predictor=("Predictor",),
    task_predictor=("TaskPredictor",),
    trained=("load_trained",),
    **{".experiments.compose": ("compose",)},
)
