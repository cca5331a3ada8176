"""One fit: the prompt and its readout trained on the training rows, the best evaluation kept."""

from __future__ import annotations

from softprompt.evaluation.score import Scores
from softprompt.training.courses.registry import course
from softprompt.training.courses.work import Work


@course("fit")
def fit_once(work: Work) -> Scores | None:
    """Train once, or not at all where nothing is to be trained."""
    return work.fit() if work.trains() else None
