"""The fit loop of one ensemble member: early stopping, averages of weights, exact resume."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from survfuse.config.training import TrainingConfig
from survfuse.core.errors import RetryableError
from survfuse.models.networks.interface import FusionModel
from survfuse.training.batches import epoch_batches, within_budget
from survfuse.training.modality_masking import ModalityMasking
from survfuse.training.progress import Epoch, Progress
from survfuse.training.resume import Resume, State, copied
from survfuse.training.targets import TrainingTargets
from survfuse.training.tokens import TokenSource

if TYPE_CHECKING:  # half a job of prediction would be its import
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingRun:
    """One network to fit: everything an epoch depends on besides the weights and its number."""

    source: TokenSource
    targets: TrainingTargets
    masking: ModalityMasking
    train_rows: tuple[int, ...]
    validation_rows: tuple[int, ...]  # empty where the number of epochs is fixed
    settings: TrainingConfig
    seed: int
    epochs: tuple[int, ...] = ()  # of each stage, where they are not `settings.epochs`

    def most_epochs(self, stage: int) -> int:
        """After how many epochs a stage ends at the latest."""
        return self.epochs[stage] if self.epochs else self.settings.epochs


class Step(nn.Module):
    """The loss of a batch as a module, so that Fabric sees only row numbers and a scalar."""

    def __init__(self, model: FusionModel, run: TrainingRun) -> None:
        super().__init__()
        self.model = model
        self.run = run

    def forward(self, rows: Sequence[int], draw: Sequence[int], hidden: np.ndarray) -> Tensor:
        """Mean loss of some patients, with the model's own losses."""
        device = next(self.model.parameters()).device
        run = self.run
        targets = run.targets.of(rows, device)
        batch = run.source.batch(rows, run.settings.max_tiles, draw, hidden).to(device)
        output = self.model(batch.with_targets(targets))
        loss = targets.loss(output.logits.float())
        for auxiliary in output.losses.values():
            loss = loss + auxiliary
        return loss


def fit_member(
    build: Callable[[], FusionModel], run: TrainingRun, fabric: Fabric, resume: Resume | None = None
) -> tuple[dict[str, Tensor], Progress]:
    """Train one network through its stages; returns the weights of the last stage's best epoch.

    Every epoch draws from generators seeded by (seed, stage, epoch), so that a resumed run
    continues exactly as the uninterrupted one.

    Raises RetryableError when memory runs out or the loss stops being a number.
    """
    torch.manual_seed(run.seed)
    model = build().to(fabric.device)
    stored = resume.read() if resume else None
    progress = Progress.from_json(stored.progress) if stored else Progress()
    best = stored.best if stored else copied(model)
    for stage, name in enumerate(model.stages):
        model.begin(name)
        if stage < progress.stage:
            continue
        if stage > progress.stage:
            progress = progress.next_stage()
        best, progress = run_stage(model, run, fabric, resume, stored, best, progress)
        model.load_state_dict(best)
        stored = None
    return best, progress


def run_stage(
    model: FusionModel,
    run: TrainingRun,
    fabric: Fabric,
    resume: Resume | None,
    stored: State | None,
    best: dict[str, Tensor],
    progress: Progress,
) -> tuple[dict[str, Tensor], Progress]:
    """Train one stage until it stops improving; returns its best weights.

    What is validated and kept after an epoch is the mean of the weights of the last
    `averaged_epochs` epochs; training itself goes on from the last weights.
    """
    settings = run.settings
    earlier: deque[dict[str, Tensor]] = deque(maxlen=settings.averaged_epochs - 1)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(
        trained, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    if stored is not None:
        stored.restore(model, [optimiser])
        earlier.extend(stored.earlier)
        log.info("resuming after epoch %d", len(progress.history))
    step, wrapped = fabric.setup(Step(model, run), optimiser)
    saved_at = time.monotonic()
    while not progress.finished:
        try:
            train_loss = run_epoch(run, step, wrapped, fabric, progress)
            last = copied(model)
            averaged = mean_weights([*earlier, last])
            validation_loss = loss_of_validation(model, averaged, run)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise RetryableError(
                "memory ran out in training; give the job more memory, or reduce "
                f"training.batch_size or training.max_tiles ({error})"
            ) from None
        model.load_state_dict(last)
        earlier.append(last)
        epoch = Epoch(progress.stage, progress.epochs, train_loss, validation_loss)
        most = run.most_epochs(epoch.stage)
        progress = progress.after(epoch, most, settings.patience)
        if progress.best_epoch == epoch.epoch:
            best = averaged
        log.info("%s", described(epoch, progress, most))
        due = resume is not None and time.monotonic() - saved_at >= resume.seconds_between
        if resume is not None and (due or progress.finished) and fabric.is_global_zero:
            resume.write(model, best, [optimiser], progress.to_json(), earlier)
            saved_at = time.monotonic()
    return best, progress


def described(epoch: Epoch, progress: Progress, most: int) -> str:
    """A line of the log."""
    validation = (
        "" if epoch.validation_loss is None else f", validation loss {epoch.validation_loss:.4f}"
    )
    best = " (best so far)" if progress.best_epoch == epoch.epoch and validation else ""
    stage = f"stage {epoch.stage + 1}, " if epoch.stage else ""
    return (
        f"{stage}epoch {epoch.epoch + 1} of at most {most}: training loss "
        f"{epoch.train_loss:.4f}{validation}{best}"
    )


def mean_weights(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each tensor over several states of a network; of whole numbers the last one."""
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0)
        if last.is_floating_point()
        else last.clone()
        for name, last in states[-1].items()
    }


def loss_of_validation(
    model: FusionModel, weights: Mapping[str, Tensor], run: TrainingRun
) -> float | None:
    """The loss of the validation patients under some weights, which the model then has."""
    if not run.validation_rows:
        return None
    model.load_state_dict(weights)
    logits = predict_logits(model, run.source, run.validation_rows, run.settings)
    return float(run.targets.of(run.validation_rows).loss(logits))


def run_epoch(
    run: TrainingRun,
    step: nn.Module,
    optimiser: torch.optim.Optimizer,
    fabric: Fabric,
    progress: Progress,
) -> float:
    """One pass over the training rows, through `step`; returns their mean loss."""
    settings, number = run.settings, progress.epochs
    draw = (run.seed, progress.stage, number)
    torch.manual_seed(hash_seed(*draw, fabric.global_rank))  # dropout
    rng = np.random.default_rng(draw)
    sizes = [min(run.source.bag_size(row), settings.max_tiles) for row in run.train_rows]
    hidden = run.masking.draw(rng)
    step.train()
    total = 0.0
    for rows in epoch_batches(run.train_rows, sizes, settings, rng):
        mine, share = rank_share(rows, fabric)
        loss = step(mine, draw, hidden[mine]) * share
        optimiser.zero_grad()
        fabric.backward(loss)
        optimiser.step()
        over_all = torch.as_tensor(fabric.all_reduce(loss.detach(), reduce_op="mean"))
        total += float(over_all) * len(rows)
    if not np.isfinite(total):
        raise RetryableError(
            f"the training loss is not a number in epoch {number + 1}; reduce "
            "training.learning_rate"
        )
    return total / len(run.train_rows)


def rank_share(rows: list[int], fabric: Fabric) -> tuple[list[int], float]:
    """The rows of this process and the weight that makes the mean over processes the batch's.

    A process without a row of its own computes the first one with weight zero: gradients are
    averaged over all processes, so all must take part.
    """
    mine = rows[fabric.global_rank :: fabric.world_size]
    return mine or rows[:1], len(mine) * fabric.world_size / len(rows)


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


def hash_seed(*numbers: int) -> int:
    """A 31-bit seed for torch from several numbers, free of simple collisions."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0] >> 1)
