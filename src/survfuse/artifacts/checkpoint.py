"""The files of a fitted model: weights as safetensors, everything else as JSON.

`<model>/r0f0/model.safetensors` and `fit.json` are the results; resume files live elsewhere, in
an undeclared scratch directory, because the workflow deletes the declared outputs of failed jobs.
"""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors.numpy import load_file, save_file

import survfuse
from survfuse.artifacts.layout import FitFolder
from survfuse.core.errors import UserInputError
from survfuse.core.files import atomic_path, read_json, sha256_file, sha256_json, write_json

Arrays = Mapping[str, np.ndarray]
Value = TypeVar("Value")


@dataclass(frozen=True)
class FittedModel:
    """A model fitted on one fold, as stored."""

    kind: str
    arrays: Arrays
    fit: dict[str, Any]

    def under(self, prefix: str) -> dict[str, np.ndarray]:
        """The arrays under a prefix, with the prefix removed."""
        return under(self.arrays, prefix)


def write_fitted(
    directory: Path,
    kind: str,
    arrays: Arrays,
    fit: Mapping[str, Any],
) -> None:
    """Write weights and description; fit.json comes last and vouches for the weights by hash."""
    files = FitFolder(directory)
    stored = {name: np.asarray(value, order="C") for name, value in arrays.items()}
    with atomic_path(files.weights) as temporary:
        save_file(stored, temporary)
    write_json(
        files.description,
        {
            **fit,
            "kind": kind,
            "weights_sha256": sha256_file(files.weights),
            "software": software(),
        },
    )


def read_fitted(directory: Path) -> FittedModel:
    """Read a fitted model.

    Raises UserInputError where there is none, or its weights are not the ones it was stored with.
    """
    files = FitFolder(directory)
    try:
        fit = read_json(files.description)
    except FileNotFoundError:
        raise UserInputError(f"{directory}: holds no fitted model; train this fold first") from None
    if sha256_file(files.weights) != fit["weights_sha256"]:
        raise UserInputError(
            f"{files.weights}: differs from the weights that fit.json describes; train this fold "
            "again"
        )
    return FittedModel(fit["kind"], load_file(files.weights), fit)


def under(named: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    """What has a name that begins with a prefix, with the prefix removed."""
    return {
        name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)
    }


@cache
def software() -> dict[str, str]:
    """Versions that the numbers depend on."""
    packages = ("torch", "numpy", "scikit-survival", "lifelines")
    described = {
        "survfuse": survfuse.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }
    return described | ({"git_commit": commit} if (commit := git_commit()) else {})


def git_commit() -> str | None:
    """Commit of the checkout that survfuse runs from, or None where it runs from none."""
    root = Path(survfuse.__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        asked = ["git", "-C", str(root), "rev-parse", "HEAD"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def ids_hash(patient_ids: Sequence[str]) -> str:
    """Hash of a set of patients, which says what a fitted object has seen."""
    return sha256_json(sorted(patient_ids))
