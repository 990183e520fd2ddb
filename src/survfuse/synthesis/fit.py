"""The fit loop of a generator: deterministic, best epoch on the validation pairs, exact resume."""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from survfuse.config.synthesis import SynthesisConfig
from survfuse.core.errors import RetryableError
from survfuse.synthesis.build import build_generator, learning_rate_of
from survfuse.synthesis.generator import Generator
from survfuse.synthesis.pairs import Pairs
from survfuse.training.engine import repeat_exactly
from survfuse.training.resume import Resume, copied

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GeneratorProgress:
    """The progress of a fit: `history` per epoch, the means over its steps and `validation`."""

    history: tuple[dict[str, float], ...] = ()
    best_epoch: int = -1
    finished: bool = False

    def after(self, figures: dict[str, float], settings: SynthesisConfig) -> GeneratorProgress:
        """The progress with one more epoch; without validation pairs the last epoch is the best."""
        history = (*self.history, figures)
        best = self.best_epoch
        validation = figures.get("validation")
        if validation is None or best < 0 or validation < history[best]["validation"]:
            best = len(history) - 1
        late = len(history) - 1 - best >= settings.patience
        return replace(
            self,
            history=history,
            best_epoch=best,
            finished=late or len(history) >= settings.epochs,
        )


@dataclass(frozen=True)
class FittedGenerator:
    """A generator in evaluation mode, with the weights of its best epoch."""

    generator: Generator
    progress: GeneratorProgress
    weights: dict[str, Tensor] = field(repr=False)


def fit_generator(
    train: Pairs,
    validation: Pairs,
    settings: SynthesisConfig,
    seed: int,
    device: torch.device,
    resume: Resume | None = None,
) -> FittedGenerator:
    """Fit a generator on `train`; keep the best epoch on `validation`, or else the last.

    Every epoch draws from generators seeded by (seed, epoch), so that a resumed fit continues
    exactly as the uninterrupted one. Raises RetryableError when memory runs out or the loss stops
    being a number.
    """
    repeat_exactly(gpu=device.type == "cuda")
    torch.manual_seed(seed)
    generator = build_generator(settings).to(device)
    generator.half_precision = settings.precision == "bf16" or (
        settings.precision == "auto" and device.type == "cuda"
    )
    optimisers = generator.optimisers(learning_rate_of(settings))
    progress, best = GeneratorProgress(), copied(generator)
    stored = resume.read() if resume else None
    if stored:
        stored.restore(generator, optimisers)
        best = stored.best
        progress = GeneratorProgress(
            **stored.progress | {"history": tuple(stored.progress["history"])}
        )
        log.info("resuming after epoch %d", len(progress.history))
    saved_at = time.monotonic()
    while not progress.finished:
        try:
            figures = run_epoch(generator, train, validation, settings, seed, progress, optimisers)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise RetryableError(
                "memory ran out in synthesis; give the job more memory, or set "
                f"synthesis.patch, checkpointing or a smaller batch_size ({error})"
            ) from None
        progress = progress.after(figures, settings)
        if progress.best_epoch == len(progress.history) - 1:
            best = copied(generator)
        log.info(
            "epoch %d of at most %d: %s",
            len(progress.history),
            settings.epochs,
            ", ".join(f"{name} {value:.4f}" for name, value in figures.items()),
        )
        due = resume and time.monotonic() - saved_at >= resume.seconds_between
        if resume and (due or progress.finished):
            resume.write(generator, best, optimisers, asdict(progress))
            saved_at = time.monotonic()
    generator.load_state_dict(best)
    generator.half_precision = False
    return FittedGenerator(generator.eval(), progress, best)


def run_epoch(
    generator: Generator,
    train: Pairs,
    validation: Pairs,
    settings: SynthesisConfig,
    seed: int,
    progress: GeneratorProgress,
    optimisers: list[torch.optim.Optimizer],
) -> dict[str, float]:
    """One pass over the training pairs, and the loss of the validation pairs, whole volumes."""
    number = len(progress.history)
    rng = np.random.default_rng([seed, number])
    torch.manual_seed(int(rng.integers(2**31)))
    device = next(generator.parameters()).device
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate_of(settings) * cosine_decay(number / settings.epochs)
    generator.train()
    sums: dict[str, list[float]] = defaultdict(list)
    order = rng.permutation(len(train))
    for start in range(0, len(order), settings.batch_size):
        rows = order[start : start + settings.batch_size].tolist()
        batch = train.batch(rows, settings, rng).to(device)
        for name, value in generator.step(batch, number, optimisers).items():
            sums[name].append(value)
    figures = {name: float(np.mean(values)) for name, values in sums.items()}
    if not all(math.isfinite(value) for value in figures.values()):
        raise RetryableError(
            f"the loss of synthesis is not a number in epoch {number + 1}; reduce "
            "synthesis.learning_rate"
        )
    if len(validation):
        generator.eval()
        with torch.inference_mode():
            losses = [
                float(generator.validation_loss(validation.batch([row]).to(device)))
                for row in range(len(validation))
            ]
        figures["validation"] = float(np.mean(losses))
    return figures


def cosine_decay(progress: float) -> float:
    """A half cosine from 1 at the start to 0 at the end."""
    return (1 + math.cos(math.pi * progress)) / 2
