"""The section `evaluation` of the configuration: what is measured."""

from __future__ import annotations

from pydantic import Field

from survfuse.config.section import Section


class EvaluationConfig(Section):
    """What is measured on the out-of-fold predictions."""

    horizons_months: list[float] = Field(
        default_factory=lambda: [12.0, 24.0, 36.0], description="Times at which risk is reported."
    )
    tau_months: float | None = Field(
        None,
        gt=0,
        description="Truncation of Uno's C and IBS; default: where 10 % are still at risk.",
    )
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Level of all intervals.")
    bootstrap: int = Field(500, ge=20, description="Patient resamples for metric intervals.")
    reference: str = Field(
        "clinical_cox", description="Model row that all differences are taken against."
    )
    seed: int = Field(0, ge=0, description="Seed of the bootstrap.")
