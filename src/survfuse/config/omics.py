"""The section `omics` of the configuration: gene expression and how genes are grouped."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from survfuse.config.section import Section

Transform = Literal["none", "log2_plus_1", "log2_cpm"]


class OmicsConfig(Section):
    """Gene expression and how genes are grouped."""

    orientation: Literal["patients_in_rows", "genes_in_rows"] = Field(
        "patients_in_rows",
        description="How the gene matrix is turned. genes_in_rows: the first column names the "
        "genes, the other columns are patients, as in files of cBioPortal, GDC and Xena.",
    )
    transform: Transform | dict[str, Transform] = Field(
        "none",
        description="What is done to the values, of all data types or by type, e.g. {rna: "
        "log2_cpm}. log2_plus_1: log2(x + 1), for TPM or FPKM; log2_cpm: the same of counts per "
        "million of the patient's total over the columns of the type, for raw counts.",
    )
    suffixes: dict[str, str] = Field(
        default_factory=lambda: {"rna": ""},
        description="Column suffix of each data type, e.g. {rna: _rnaseq, cnv: _cnv}.",
    )
    gene_sets: Path | None = Field(
        None, description="Gene sets: .gmt, or the wide CSV with one set per column (also .gz)."
    )
    min_genes: int = Field(2, ge=1, description="Gene sets with fewer measured genes are dropped.")
    winsorise: float = Field(
        0.01, ge=0, lt=0.5, description="Share clipped at each tail, per gene, training part only."
    )
    max_missing: float = Field(
        0.2, ge=0, lt=1, description="Genes missing in more training patients are dropped."
    )
    min_variance: float = Field(
        1e-6, ge=0, description="Genes with less variance in the training part are dropped."
    )

    @model_validator(mode="after")
    def transformed_types_exist(self) -> OmicsConfig:
        if isinstance(self.transform, dict):
            for kind in self.transform.keys() - self.suffixes.keys():
                raise ValueError(
                    f"omics.transform names the data type {kind}, omics.suffixes has "
                    f"{', '.join(self.suffixes)}"
                )
        return self

    def transform_of(self, kind: str | None) -> Transform:
        """What is done to the values of a data type; none where a column has no type."""
        if kind is None:
            return "none"
        return (
            self.transform.get(kind, "none") if isinstance(self.transform, dict) else self.transform
        )
