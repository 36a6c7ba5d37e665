"""Whether experiments can be composed, before the first of them is started."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from .errors import PlanError
from .study import Run, Study


def check_words(studies: Sequence[Study]) -> None:
    """Compose the config of a run of each study.

    Raises:
        PlanError: one is refused: an unknown trunk, a word that the method has not, a misspelled option.
    """
    from ..apis.compose import compose_from_words  # imports OpenMMLab: seconds
    from ..apis.options import check_options
    from ..apis.parts import CompositionError

    with _without_notes():
        for study in studies:
            run = _example(study)
            try:
                options = dict(option.split("=", 1) for option in run.options())
                check_options(compose_from_words(run.words()), options)
            except (CompositionError, ValueError) as error:
                raise PlanError(f"{study.key}: {error}") from error


@contextmanager
def _without_notes() -> Iterator[None]:
    """Keep MMEngine from noting, hundreds of times, that a config reads VTAB_ROOT."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)


def _example(study: Study) -> Run:
    """Return a run of a study, as its search would start it."""
    return study.search_run(study.space.example())
