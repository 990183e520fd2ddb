"""What a modality is: all that is known of it outside its folder.

A study holds a `Store` of each of its modalities. On the training patients of a fold a `Scaling` is
fitted to it; together they give networks their tokens (`TokenReader`) and models that read one row
of numbers for each patient their columns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import pandas as pd

from survfuse.artifacts.cohort_tables import read_features
from survfuse.config.study import Config
from survfuse.core.files import sha256_file
from survfuse.modalities.conformity import Conformed, Reference
from survfuse.modalities.paths import InputPaths
from survfuse.modalities.registry import MODALITIES
from survfuse.modalities.sheets import Brought, CheckedPatients, Preparation
from survfuse.sheets.feature_table import check_feature_leaks, features_of, read_feature_table
from survfuse.sheets.findings import Findings
from survfuse.sheets.problems import Note

CLIP = 10.0  # standard deviations; hand-crafted features have extreme outliers


class CheckedSheets(Protocol):
    """The sheets of a study as check-cohort leaves them, see `cohort.checked.Cohort`."""

    @property
    def clinical(self) -> pd.DataFrame: ...

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]: ...


class Store(Protocol):
    """What a study has of one modality, by patient id."""

    def available(self, patient_ids: Sequence[str]) -> np.ndarray:
        """(n,) bool: which of the patients have it."""

    def only(self, patient_ids: Collection[str]) -> Self:
        """The same, if it saves memory without what other patients have."""

    def without(self, patient_ids: Collection[str]) -> Self:
        """The same, as if these patients did not have it."""


class Scaling(Protocol):
    """What was fitted to a modality of the training patients of a fold."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the checkpoint."""

    def to_json(self) -> dict[str, Any] | None:
        """What the checkpoint needs besides the arrays, if anything."""


@dataclass(frozen=True)
class TokenShape:
    """The sizes of the tokens of a modality, for which a network is built.

    width: of one token. groups: widths of the groups of features that the one token holds end to
    end, if it does. grid: voxels of the volume (R, A, S) that the one token holds in C order, if
    it does.
    """

    width: int
    groups: tuple[int, ...] = ()
    grid: tuple[int, int, int] | None = None


class Tokens(NamedTuple):
    """Tokens of B patients, padded to the longest bag; N = 1 where a patient has one token."""

    values: np.ndarray  # (B, N, D) float32
    mask: np.ndarray  # (B, N) bool, true where a token is real
    coords: np.ndarray | None = None  # (B, N, 2) int64 column and row on the grid of tiles


@dataclass(frozen=True)
class Attended:
    """What attention weights of one patient lie on, in their order.

    columns: one value for each weight, of each name in `Modality.beside_attention`. names: of the
    parts of the one token, where the weights lie on parts.
    """

    columns: Mapping[str, np.ndarray]
    names: tuple[str, ...] | None = None


class TokenReader(Protocol):
    """The tokens of a fixed list of n patients, standardised."""

    @property
    def shape(self) -> TokenShape:
        """Their sizes."""

    def bag_size(self, row: int) -> int:
        """Number of tokens of a patient; 0 for modalities of which nobody has more than one."""

    def read(
        self, rows: Sequence[int], shown: np.ndarray, most: int | None, seed: Sequence[int]
    ) -> Tokens:
        """Tokens of the patients `rows`, of those marked in `shown` (B,) alone.

        Bags of more than `most` tokens are reduced to as many, drawn without replacement from a
        generator seeded by `seed` and the row of the patient alone.
        """


class Modality(ABC):
    """One kind of data on patients. Everything that is fitted sees training patients alone."""

    name: str
    source: str = ""  # key of `InputPaths.files`
    smallest: TokenShape = TokenShape(1)  # the least that a network can be built for
    beside_attention: tuple[str, ...] = ()  # columns of `Attended`
    without_sheet: Brought | None = None  # what a cohort has that brings none, if anything
    faults: Mapping[str, str] = {}  # why a file is set aside, in words by its code

    def read_sheet(
        self, config: Config, patient_ids: Collection[str] | None, found: Findings
    ) -> Any | None:
        """Its sheet as it is, None where it cannot be read; what is wrong goes to `found`.

        patient_ids: of the patient sheet, if known. Modalities of one source share a sheet, which
        the first of them reads and checks. By default a table of features.
        """
        path = MODALITIES[self.name].sheet(config.cohort)
        return found.attempt(read_feature_table, path, patient_ids)

    def check_sheet(
        self, sheet: Any, patients: CheckedPatients, config: Config, found: Findings
    ) -> Brought | None:
        """What the cohort keeps of its sheet, if it can be read; what is wrong goes to `found`.

        By default the features, none of which may give the outcome away.
        """
        features, outcomes = found.attempt(features_of, sheet), patients.outcomes_by_id()
        if features is None:
            return None
        if outcomes is not None:
            found.problems += check_feature_leaks(sheet, features, outcomes)
        return Brought(features)

    def check_preparation(self, sheet: Any, config: Config) -> list[Note]:
        """Check what its preparation reads besides its sheet; by default there is nothing.

        Returns what is unusual. Raises UserInputError for what is wrong, MissingResourceError for
        what is not there.
        """
        return []

    def in_sheets(self, sheets: CheckedSheets, config: Config) -> Collection[str] | None:
        """Who has it by the sheets; None where the table of who has what leaves it out.

        By default who has a row in its table of one row for each patient.
        """
        table = sheets.tables.get(self.source)
        return None if table is None else table.index.tolist()

    def pack(self, config: Config, patient_ids: Sequence[str], path: Path) -> bool:
        """Write the file that models read of its sheet to `path`, and return whether there is any.

        By default there is none: the cohort has it, or the workflow makes it, which takes long.
        """
        return False

    def prepare(self, table: pd.DataFrame, path: Path, preparation: Preparation) -> None:
        """Make the file that models read of it in this process, from `table`, what is kept of its
        sheet; for many patients the workflow has jobs. Raises what its stage raises."""
        self.pack(preparation.config, preparation.patient_ids, path)

    def listed(
        self, patient_id: str, files: Sequence[Path], config: Config
    ) -> list[dict[str, str]]:
        """Rows of its sheet, if it lists files, for those of a patient; by default one each."""
        return [{"patient_id": patient_id, "path": str(file)} for file in files]

    @abstractmethod
    def open(self, paths: InputPaths, patient_ids: Collection[str] | None) -> Store | None:
        """What the study has, of some patients alone if named; None where it has no file of it.

        Raises UserInputError where a file is not the one that its stage wrote.
        """

    def who_has(self, paths: InputPaths, patient_ids: Sequence[str]) -> np.ndarray:
        """(n,) bool: which patients have it, found without opening what is large."""
        store = self.open(paths, None)
        return np.zeros(len(patient_ids), bool) if store is None else store.available(patient_ids)

    def digest(self, paths: InputPaths) -> Any:
        """What identifies the contents of its file, as JSON; None where there is none."""
        path = paths.files.get(self.source)
        return None if path is None else sha256_file(path)

    @abstractmethod
    def hashes(self, paths: InputPaths, store: Store | None) -> list[tuple[str, ...]]:
        """(patient, ...) for everything that is known of a patient, by a hash of its content."""

    @abstractmethod
    def fit(self, store: Store, train_ids: Sequence[str], config: Config) -> Scaling | None:
        """Fit the scaling on training patients; None where they give nothing to fit it on."""

    @abstractmethod
    def restore(self, arrays: Mapping[str, np.ndarray], described: Any) -> Scaling | None:
        """The scaling from what `arrays` and `to_json` gave; None where there was none."""

    @abstractmethod
    def reader(
        self,
        store: Store | None,
        scaling: Scaling | None,
        patient_ids: Sequence[str],
        shape: TokenShape | None,
    ) -> TokenReader:
        """The tokens of patients. `shape`: of the fitted network, where there is one.

        Without a store or a scaling all are absent, and of some width.
        """

    @abstractmethod
    def columns(
        self, store: Store | None, scaling: Scaling, patient_ids: Sequence[str]
    ) -> tuple[np.ndarray, list[str]]:
        """One row of numbers for each patient, (n, c) float64, and the names of the columns.

        Rows of patients without the modality are not read. Raises UserInputError where the columns
        are gone that the scaling was fitted on.
        """

    def blocks(
        self, store: Store | None, scaling: Scaling, patient_ids: Sequence[str], config: Config
    ) -> dict[str, tuple[np.ndarray, list[str]]]:
        """Its columns by named block, each as `columns` gives them; by default all in one.

        A block is what a penalty of its own suits: a type of data, or a way of summarising it.
        """
        return {self.name: self.columns(store, scaling, patient_ids)}

    def averaged(
        self, store: Store | None, scaling: Scaling, patient_id: str
    ) -> tuple[str, np.ndarray] | None:
        """A block whose row is the mean of rows (N, c) of the parts of a patient, and these rows.

        None where no block is such a mean, or the patient has none.
        """
        return None

    def parts(self, store: Store | None, scaling: Scaling | None) -> dict[str, int]:
        """Into what the effect of its one token is divided: name -> width, in order; or nothing."""
        return {}

    def part_shares(
        self, store: Store | None, scaling: Scaling, columns: Sequence[str]
    ) -> np.ndarray:
        """(c, parts) how each column of a block belongs to the `parts`; every row sums to 1.

        By default columns lie part after part.
        """
        widths = list(self.parts(store, scaling).values())
        return np.repeat(np.eye(len(widths)), widths, axis=0)

    def reference(
        self, paths: InputPaths, store: Store, patient_ids: Sequence[str], config: Config
    ) -> Reference:
        """What a package keeps of it, by which inputs of new patients are judged."""
        return Reference(None)

    def conform(
        self, paths: InputPaths, store: Store | None, reference: Reference
    ) -> Conformed[Store | None]:
        """What new patients have, None without a sheet, in the form that models read.

        By default as it is. Raises UserInputError where the models cannot read it.
        """
        return Conformed(store)

    def unusable(self, paths: InputPaths) -> dict[str, str]:
        """Why files of patients could not be used, by patient id; by default no files can fail."""
        return {}

    def for_pages(self, path: Path) -> Any:
        """What pages tell of the file that models read; by default a table of features."""
        return read_features(path)

    def attended(self, store: Store | None, patient_id: str) -> Attended:
        """What attention to it lies on, in a patient of whom it was read; by default unknown."""
        return Attended({})
