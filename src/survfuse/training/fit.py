"""The fit loop of one ensemble member: early stopping on the inner part, exact resume."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from survfuse.config import TrainingConfig
from survfuse.errors import RetryableError
from survfuse.fusion.hazards import discrete_nll
from survfuse.training.bins import bin_index, lived_share, marginal_logits
from survfuse.training.checkpoint import read_resume, write_resume
from survfuse.training.tokens import TokenSource

log = logging.getLogger(__name__)

SECONDS_BETWEEN_CHECKPOINTS = 60.0


@dataclass(frozen=True)
class Targets:
    """Discrete-time outcomes of the patients of a TokenSource, in its order."""

    bins: np.ndarray  # (n,) int64
    event: np.ndarray  # (n,) bool
    lived: np.ndarray  # (n,) part of the own bin before the time, which counts for the censored
    marginal: np.ndarray  # (K,) logits of the training patients' marginal hazards


def targets_of(
    time_months: np.ndarray, event: np.ndarray, edges_months: np.ndarray, train: np.ndarray
) -> Targets:
    """Outcomes in the bins of a fold; `train` (n,) bool marks the patients to fit on."""
    bins = bin_index(time_months, edges_months)
    marginal = marginal_logits(time_months[train], event[train], edges_months)
    return Targets(bins, event, lived_share(time_months, edges_months), marginal)


@dataclass(frozen=True)
class Epoch:
    """One line of the training history."""

    epoch: int
    train_loss: float
    inner_nll: float


@dataclass(frozen=True)
class Progress:
    """State of the loop after an epoch, without the tensors."""

    history: tuple[Epoch, ...] = ()
    best_epoch: int = -1
    best_nll: float = float("inf")
    finished: bool = False

    def after(self, epoch: Epoch, settings: TrainingConfig) -> Progress:
        """The progress once `epoch` is done; improvement must exceed rounding."""
        better = epoch.inner_nll < self.best_nll - 1e-6
        best_epoch = epoch.epoch if better else self.best_epoch
        waited = epoch.epoch - best_epoch >= settings.patience
        return replace(
            self,
            history=(*self.history, epoch),
            best_epoch=best_epoch,
            best_nll=epoch.inner_nll if better else self.best_nll,
            finished=waited or epoch.epoch + 1 >= settings.epochs,
        )

    def to_json(self) -> dict[str, object]:
        """A JSON-serialisable copy (infinity becomes null)."""
        best = self.best_nll if np.isfinite(self.best_nll) else None
        return {**asdict(self), "history": [asdict(e) for e in self.history], "best_nll": best}

    @staticmethod
    def from_json(stored: dict) -> Progress:
        """The inverse of `to_json`."""
        best = stored["best_nll"]
        return Progress(
            tuple(Epoch(**epoch) for epoch in stored["history"]),
            stored["best_epoch"],
            float("inf") if best is None else best,
            stored["finished"],
        )


def fit_member(
    build: Callable[[], nn.Module],
    source: TokenSource,
    targets: Targets,
    train_rows: Sequence[int],
    inner_rows: Sequence[int],
    settings: TrainingConfig,
    seed: int,
    device: torch.device,
    resume: Path | None = None,
    resume_key: str = "",
    seconds_between_checkpoints: float = SECONDS_BETWEEN_CHECKPOINTS,
) -> tuple[dict[str, Tensor], Progress]:
    """Train one network and return the weights of its best epoch on the inner part.

    Every epoch draws from generators seeded by (seed, epoch), so that a run resumed from
    `resume` continues exactly as the uninterrupted one. A resume file whose key differs (other
    settings or other data) is ignored.

    Raises RetryableError when memory runs out or the loss stops being a number.
    """
    torch.manual_seed(seed)
    model = build().to(device)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    progress = Progress()
    best = copied(model)
    if resume is not None and (stored := read_resume(resume, resume_key)) is not None:
        model.load_state_dict(stored.model)
        best = stored.best
        stored.restore_optimiser(optimiser)
        progress = Progress.from_json(stored.progress)
        log.info("resuming after epoch %d", len(progress.history))
    saved_at = time.monotonic()
    while not progress.finished:
        number = len(progress.history)
        try:
            epoch = run_epoch(
                model, optimiser, source, targets, train_rows, inner_rows, settings, seed, number
            )
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise RetryableError(
                "memory ran out in training; give the job more memory, or reduce "
                f"training.batch_size or training.max_tiles ({error})"
            ) from None
        progress = progress.after(epoch, settings)
        if progress.best_epoch == number:
            best = copied(model)
        log.info(
            "epoch %d of at most %d: training loss %.4f, inner NLL %.4f%s",
            number + 1,
            settings.epochs,
            epoch.train_loss,
            epoch.inner_nll,
            " (best so far)" if progress.best_epoch == number else "",
        )
        due = time.monotonic() - saved_at >= seconds_between_checkpoints
        if resume is not None and (due or progress.finished):
            write_resume(resume, resume_key, model, best, optimiser, progress.to_json())
            saved_at = time.monotonic()
    return best, progress


def run_epoch(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    source: TokenSource,
    targets: Targets,
    train_rows: Sequence[int],
    inner_rows: Sequence[int],
    settings: TrainingConfig,
    seed: int,
    number: int,
) -> Epoch:
    """One pass over the training rows and one evaluation of the inner rows."""
    device = next(model.parameters()).device
    torch.manual_seed(hash_seed(seed, number))  # dropout
    order = np.random.default_rng([seed, number]).permutation(np.asarray(train_rows))
    sizes = [min(source.bag_size(int(row)), settings.max_tiles) for row in order]
    model.train()
    total = 0.0
    for rows in within_budget(order.tolist(), sizes, settings):
        batch = source.batch(rows, settings.max_tiles, (seed, number)).to(device)
        output = model(batch)
        loss = nll(output.logits, targets, rows)
        for auxiliary in output.losses.values():
            loss = loss + auxiliary
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total += float(loss.detach()) * len(rows)
    if not np.isfinite(total):
        raise RetryableError(
            f"the training loss is not a number in epoch {number + 1}; reduce "
            "training.learning_rate"
        )
    logits = predict_logits(model, source, inner_rows, settings)
    inner = float(nll(logits, targets, inner_rows))
    return Epoch(number, total / len(train_rows), inner)


def nll(logits: Tensor, targets: Targets, rows: Sequence[int]) -> Tensor:
    """Mean discrete-time negative log-likelihood of some patients.

    The network's logits are added to the marginal ones: it starts from the average patient and
    learns in what way patients differ, so that even a network that is stopped early is calibrated.
    """
    logits = logits + torch.as_tensor(targets.marginal, device=logits.device, dtype=logits.dtype)
    bins = torch.as_tensor(targets.bins[list(rows)], device=logits.device)
    event = torch.as_tensor(targets.event[list(rows)], device=logits.device)
    lived = torch.as_tensor(targets.lived[list(rows)], device=logits.device, dtype=logits.dtype)
    return discrete_nll(logits, bins, event, lived_share=lived)


@torch.inference_mode()
def predict_logits(
    model: nn.Module, source: TokenSource, rows: Sequence[int], settings: TrainingConfig
) -> Tensor:
    """Logits (len(rows), K) in evaluation mode, from all tiles of every patient."""
    device = next(model.parameters()).device
    model.eval()
    by_size = sorted(range(len(rows)), key=lambda position: source.bag_size(rows[position]))
    sizes = [source.bag_size(rows[position]) for position in by_size]
    pieces: list[Tensor] = []
    for positions in within_budget(by_size, sizes, settings):
        chosen = [rows[position] for position in positions]
        pieces.append(model(source.batch(chosen).to(device)).logits.float().cpu())
    return torch.cat(pieces)[np.argsort(by_size)]


def within_budget(
    rows: Sequence[int], sizes: Sequence[int], settings: TrainingConfig
) -> list[list[int]]:
    """Cut rows into batches of at most `batch_size` patients and bounded padded size.

    The bound is batch_size x max_tiles tokens, which keeps peak memory independent of the
    largest bag; a single larger bag forms a batch of its own.
    """
    budget = settings.batch_size * settings.max_tiles
    batches: list[list[int]] = []
    widest = 0
    for row, size in zip(rows, sizes, strict=True):
        grown = max(widest, size, 1)
        full = not batches or len(batches[-1]) >= settings.batch_size
        if full or grown * (len(batches[-1]) + 1) > budget:
            batches.append([])
            grown = max(size, 1)
        batches[-1].append(row)
        widest = grown
    return batches


def copied(model: nn.Module) -> dict[str, Tensor]:
    """A detached copy of the weights on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def hash_seed(seed: int, number: int) -> int:
    """A 31-bit seed for torch from (seed, epoch), free of simple collisions."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0] >> 1)
