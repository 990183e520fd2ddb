"""The fit loop of a generator: deterministic, best epoch on the inner pairs, exact resume."""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from survfuse.config_synthesis import SynthesisConfig
from survfuse.errors import RetryableError
from survfuse.synthesis.build import build_generator, learning_rate_of
from survfuse.synthesis.generator import Generator
from survfuse.synthesis.pairs import Pairs
from survfuse.training.resume import Resume, copied

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Course:
    """How a fit went. `history` holds, per epoch, the means over its steps and `inner`."""

    history: tuple[dict[str, float], ...] = ()
    best_epoch: int = -1
    finished: bool = False

    def after(self, figures: dict[str, float], settings: SynthesisConfig) -> Course:
        """The course with one more epoch; without inner pairs the last epoch is the best."""
        history = (*self.history, figures)
        best = self.best_epoch
        inner = figures.get("inner")
        if inner is None or best < 0 or inner < history[best]["inner"]:
            best = len(history) - 1
        late = len(history) - 1 - best >= settings.patience
        return replace(
            self,
            history=history,
            best_epoch=best,
            finished=late or len(history) >= settings.epochs,
        )


@dataclass(frozen=True)
class Fitted:
    """A generator in evaluation mode, with the weights of its best epoch."""

    generator: Generator
    course: Course
    weights: dict[str, Tensor] = field(repr=False)


def fit_generator(
    train: Pairs,
    inner: Pairs,
    settings: SynthesisConfig,
    seed: int,
    device: torch.device,
    resume: Resume | None = None,
) -> Fitted:
    """Fit a generator on `train`; keep the best epoch on `inner`, the last where there is none.

    Every epoch draws from generators seeded by (seed, epoch), so that a resumed fit continues
    exactly as the uninterrupted one. Raises RetryableError when memory runs out or the loss stops
    being a number.
    """
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    torch.manual_seed(seed)
    generator = build_generator(settings).to(device)
    generator.half_precision = settings.precision == "bf16" or (
        settings.precision == "auto" and device.type == "cuda"
    )
    optimisers = generator.optimisers(learning_rate_of(settings))
    course, best = Course(), copied(generator)
    stored = resume.read() if resume else None
    if stored:
        stored.restore(generator, optimisers)
        best = stored.best
        course = Course(**stored.progress | {"history": tuple(stored.progress["history"])})
        log.info("resuming after epoch %d", len(course.history))
    saved_at = time.monotonic()
    while not course.finished:
        try:
            figures = run_epoch(generator, train, inner, settings, seed, course, optimisers)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise RetryableError(
                "memory ran out in synthesis; give the job more memory, or set "
                f"synthesis.patch, checkpointing or a smaller batch_size ({error})"
            ) from None
        course = course.after(figures, settings)
        if course.best_epoch == len(course.history) - 1:
            best = copied(generator)
        log.info(
            "epoch %d of at most %d: %s",
            len(course.history),
            settings.epochs,
            ", ".join(f"{name} {value:.4f}" for name, value in figures.items()),
        )
        due = resume and time.monotonic() - saved_at >= resume.seconds_between
        if resume and (due or course.finished):
            resume.write(generator, best, optimisers, asdict(course))
            saved_at = time.monotonic()
    generator.load_state_dict(best)
    generator.half_precision = False
    return Fitted(generator.eval(), course, best)


def run_epoch(
    generator: Generator,
    train: Pairs,
    inner: Pairs,
    settings: SynthesisConfig,
    seed: int,
    course: Course,
    optimisers: list[torch.optim.Optimizer],
) -> dict[str, float]:
    """One pass over the training pairs, and one look at the inner ones, whole volumes."""
    number = len(course.history)
    rng = np.random.default_rng([seed, number])
    torch.manual_seed(int(rng.integers(2**31)))
    device = next(generator.parameters()).device
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate_of(settings) * falling(number / settings.epochs)
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
    if len(inner):
        generator.eval()
        with torch.inference_mode():
            losses = [
                float(generator.inner_loss(inner.batch([row]).to(device)))
                for row in range(len(inner))
            ]
        figures["inner"] = float(np.mean(losses))
    return figures


def falling(progress: float) -> float:
    """A half cosine from 1 at the start to 0 at the end."""
    return (1 + math.cos(math.pi * progress)) / 2
