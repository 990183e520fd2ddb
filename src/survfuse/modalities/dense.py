"""Modalities of which a patient has one token: a row of standardised numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from survfuse.modalities.protocol import Tokens, TokenShape


@dataclass(frozen=True)
class OneToken:
    """A token of D standardised numbers for each of n patients."""

    values: np.ndarray  # (n, D) float32; what is absent is never read
    shape: TokenShape

    @classmethod
    def of(cls, values: np.ndarray) -> OneToken:
        """The reader of tokens that are nothing but rows of numbers."""
        return cls(values, TokenShape(values.shape[1]))

    @classmethod
    def nothing(cls, patients: int) -> OneToken:
        """The reader of a modality that nobody has."""
        return cls.of(np.zeros((patients, 1), dtype=np.float32))

    def bag_size(self, row: int) -> int:
        """No patient has a bag."""
        return 0

    def read(
        self, rows: Sequence[int], shown: np.ndarray, most: int | None, seed: Sequence[int]
    ) -> Tokens:
        """See `protocol.TokenReader`."""
        return Tokens(self.values[list(rows)][:, None], shown[:, None])
