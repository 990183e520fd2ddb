"""survfuse: slides, genes, MRI, PET and clinical tables to validated models and risk reports.

The workflow runs from the command line (`survfuse run`); the same stages can be called here::

    import survfuse

    config = survfuse.load_config("my_cohort/config.yaml")
    survfuse.prepare(config)                     # check the sheets, divide into folds
    for row in config.models:
        survfuse.fit(config, row.name)           # on the training part of every fold
        survfuse.predict(config, row.name)       # out-of-fold, a table
    evaluation = survfuse.evaluate(config)       # all rows side by side, with intervals
    survfuse.report(config)                      # pages to read

What is not listed in `__all__` may change from one version to the next.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.2.0"
__all__ = [
    "check_cohort",
    "evaluate",
    "export_predictions",
    "fit",
    "load_config",
    "monitor",
    "package",
    "predict",
    "predict_new",
    "prepare",
    "report",
    "validate_external",
]


def __getattr__(name: str) -> Any:
    """A function of `survfuse.api`, imported when it is first used.

    Every module of the package imports this one first. Were the functions imported here, so would
    be all that they need, and the top of the house would be below its ground floor.
    """
    if name not in __all__:
        raise AttributeError(f"module 'survfuse' has no attribute {name!r}")
    return getattr(import_module("survfuse.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
