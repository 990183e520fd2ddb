"""How far the fit of one network has come: its history, best epoch and stage."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Epoch:
    """One line of the training history; losses are means over patients (Cox: over events)."""

    stage: int
    epoch: int
    train_loss: float
    validation_loss: float | None  # None where the number of epochs is fixed


@dataclass(frozen=True)
class Progress:
    """State of the loop after an epoch, without the tensors."""

    history: tuple[Epoch, ...] = ()
    stage: int = 0
    epochs: int = 0  # done in this stage
    best_epoch: int = -1  # of this stage
    best_loss: float = float("inf")
    finished: bool = False  # this stage

    def after(self, epoch: Epoch, most: int, patience: int) -> Progress:
        """The progress once `epoch` of at most `most` is done; improvement must exceed rounding.

        With a fixed number of epochs the last one counts as the best.
        """
        validation = -float(epoch.epoch) if epoch.validation_loss is None else epoch.validation_loss
        better = validation < self.best_loss - 1e-6
        best_epoch = epoch.epoch if better else self.best_epoch
        waited = epoch.epoch - best_epoch >= patience
        return replace(
            self,
            history=(*self.history, epoch),
            epochs=epoch.epoch + 1,
            best_epoch=best_epoch,
            best_loss=validation if better else self.best_loss,
            finished=waited or epoch.epoch + 1 >= most,
        )

    def next_stage(self) -> Progress:
        """The start of the following stage."""
        return Progress(self.history, self.stage + 1)

    def to_json(self) -> dict[str, object]:
        """A JSON-serialisable copy (infinity becomes null)."""
        best = self.best_loss if np.isfinite(self.best_loss) else None
        return {**asdict(self), "history": [asdict(e) for e in self.history], "best_loss": best}

    @staticmethod
    def from_json(stored: dict) -> Progress:
        """The inverse of `to_json`."""
        best = stored["best_loss"]
        return Progress(
            **{
                **stored,
                "history": tuple(Epoch(**epoch) for epoch in stored["history"]),
                "best_loss": float("inf") if best is None else best,
            }
        )
