"""What the tables of predictions are to the loop over folds, whatever is predicted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from survfuse.config.study import Config
from survfuse.modalities.cohort import CohortInputs

Predict = Callable[[CohortInputs, Sequence[str]], Any]  # what a fitted row says of patients


@dataclass(frozen=True)
class PredictionTables:
    """The two tables of a row, where a prediction is what the estimators of the task return.

    frame(prediction, config, repeat, fold): one tidy row per patient. ablations(predict, config,
    reads, inputs, patient_ids): what `predict` says of the patients of a fold from some of the
    inputs, a frame for each choice of them. write_ablations takes None where there is none.
    """

    frame: Callable[[Any, Config, int, int], pd.DataFrame]
    ablations: Callable[
        [Predict, Config, Sequence[str], CohortInputs, Sequence[str]], list[pd.DataFrame]
    ]
    write: Callable[[Path, pd.DataFrame], None]
    write_ablations: Callable[[Path, pd.DataFrame | None], None]
