"""The section `training` of the configuration: the fit loop shared by all networks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from survfuse.config.section import Section


class TuningConfig(Section):
    """Search for a learning rate, weight decay and dropout on the validation part of each fold."""

    trials: int = Field(
        0,
        ge=0,
        le=100,
        description="Settings tried per fold; 0 = no search. Needs stop: validation.",
    )
    learning_rate: tuple[float, float] = Field(
        (1e-4, 3e-3), description="Range of the learning rate, searched on a log scale."
    )
    weight_decay: tuple[float, float] = Field(
        (1e-5, 1e-1), description="Range of the weight decay, searched on a log scale."
    )
    dropout: tuple[float, float] = Field(
        (0.0, 0.5), description="Range of the option dropout, for models that have it."
    )

    @model_validator(mode="after")
    def ranges_rise(self) -> TuningConfig:
        for name in ("learning_rate", "weight_decay", "dropout"):
            low, high = getattr(self, name)
            if not (0 <= low < high) or (low == 0 and name != "dropout"):
                raise ValueError(f"{name} must be a rising range of positive numbers")
        if self.dropout[1] > 1:
            raise ValueError("dropout is a share and must not exceed 1")
        return self


class TrainingConfig(Section):
    """The fit loop, shared by all neural models."""

    loss: Literal["nll", "cox"] = Field(
        "nll",
        description="nll: discrete-time likelihood of time bins. cox: partial likelihood of one "
        "log-hazard ratio within each batch; survival then comes from Breslow's baseline. "
        "Not for a diagnosis, which has a loss of its own.",
    )

    bins_months: list[float] = Field(
        default_factory=lambda: [6.0, 12.0, 24.0, 36.0, 60.0],
        description="Upper edges of the time bins; an open bin follows. Clinical, not data-driven.",
    )
    min_events_per_bin: int = Field(
        10,
        ge=1,
        description="Bins with fewer training events are merged with the next, the last one with "
        "the one before.",
    )
    stop: Literal["validation", "cross_validation", "fixed"] = Field(
        "validation",
        description="validation: keep the best epoch on the validation patients. "
        "cross_validation: train on all training patients for the median of the best epochs of "
        "five folds of them, which costs five more fits. fixed: train on all training patients "
        "for exactly `epochs` epochs and keep the last.",
    )
    epochs: int = Field(30, ge=1, description="Most epochs (of each stage of a model).")
    patience: int = Field(
        8, ge=1, description="Epochs without validation improvement before stopping."
    )
    averaged_epochs: int = Field(
        1,
        ge=1,
        le=50,
        description="Epochs of which the weights are averaged: what is validated and kept after an "
        "epoch is the mean of the weights of this many last ones. 1: those of the epoch itself.",
    )
    missingness: Literal["equalise", "ignore", "use"] = Field(
        "equalise",
        description="How training treats absent modalities. equalise: mask present ones until "
        "absence is not associated with the outcome. ignore: mask at one rate for everybody. use: "
        "take the data as they are, so that absence itself may count as a predictor.",
    )
    modality_dropout: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Rate at which a modality is masked in training, so that placeholders for "
        "absent ones are trained (equalise and ignore).",
    )
    batch_size: int = Field(16, ge=1, description="Patients per step.")
    learning_rate: float = Field(3e-4, gt=0, description="Learning rate of AdamW.")
    weight_decay: float = Field(1e-4, ge=0, description="Weight decay of AdamW.")
    max_tiles: int = Field(
        4096, ge=1, description="Tiles per patient and step in training; evaluation uses all."
    )
    repeats: int = Field(
        2,
        ge=1,
        le=20,
        description="Repeats of the folds that networks are fitted in, the first ones, at most "
        "splits.repeats. Each costs as much as the first. Intervals are about 1.2 times as wide "
        "with 2 as with 5, and 1.7 times with 1. Row by row: the key repeats of a model.",
    )
    folds_in_one_job: bool = Field(
        False,
        description="Fit all folds of a network in one job, one after another, in place of a job "
        "for each. For networks so small that a job takes longer to start than to fit one.",
    )
    members: int = Field(3, ge=1, le=20, description="Seeds trained per fold and averaged.")
    seed: int = Field(0, ge=0, description="Seed of initialisation, order and sub-sampling.")
    threads: int = Field(1, ge=1, description="CPU threads per training job.")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 on a GPU, fp32 elsewhere; evaluation is always fp32."
    )
    devices: int = Field(
        1, ge=1, le=16, description="GPUs (or CPU processes) that share each batch of one job."
    )
    tuning: TuningConfig = Field(default_factory=lambda: TuningConfig())

    @model_validator(mode="after")
    def tuning_has_validation_patients(self) -> TrainingConfig:
        if self.tuning.trials and self.stop != "validation":
            raise ValueError(
                f"tuning needs validation patients, and stop: {self.stop} trains on them too; use "
                "stop: validation, or remove tuning"
            )
        return self
