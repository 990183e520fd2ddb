"""Where and how precisely networks are trained: device, precision, processes."""

from __future__ import annotations

import ctypes
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import torch

from survfuse.config.training import TrainingConfig
from survfuse.core.errors import MissingResourceError

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.strategies import DDPStrategy

log = logging.getLogger(__name__)

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of <malloc.h>

# Lightning gives its logger a handler to the terminal where it is imported before any logging is
# set up, as in every further process of a job on several GPUs.
for handler in list((fabric_log := logging.getLogger("lightning_fabric")).handlers):
    fabric_log.removeHandler(handler)
fabric_log.setLevel(logging.WARNING)
fabric_log.propagate = True


@contextmanager
def advice_to_the_log() -> Iterator[None]:
    """Keep warnings of Lightning, such as to use `srun`, off the terminal: jobs are started by us.

    They are logged at the level of debugging.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        log.debug("%s", message)


def keep_freed_memory() -> None:
    """Let glibc reuse the memory of large tensors instead of handing it back to the system.

    Every step needs as much again, and the system zeroes each page anew, which takes a fifth of a
    step of PIBD. Memory is handed back when more than 2 GiB in a row are free.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def repeat_exactly(gpu: bool) -> None:
    """Have the same inputs give the same numbers; on a GPU as far as its kernels can.

    PyTorch would also fill every new tensor with NaN, to reveal operations that read what nobody
    wrote. That changes no number and takes 7 % of a step of CMTA.
    """
    torch.use_deterministic_algorithms(True, warn_only=gpu)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def start_engine(settings: TrainingConfig, device: torch.device) -> Fabric:
    """Fabric for one training job, and PyTorch's threads and determinism set accordingly.

    Raises MissingResourceError where fewer GPUs are visible than training.devices.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.strategies import DDPStrategy

    gpu = device.type == "cuda"
    if gpu and torch.cuda.device_count() < settings.devices:
        raise MissingResourceError(
            f"training.devices is {settings.devices}, but {torch.cuda.device_count()} GPUs are "
            "visible; request more from the scheduler, or reduce it"
        )
    keep_freed_memory()
    torch.set_num_threads(settings.threads)
    repeat_exactly(gpu)
    half = settings.precision == "bf16" or (settings.precision == "auto" and gpu)
    precision: Literal["bf16-mixed", "32-true"] = "bf16-mixed" if half else "32-true"
    strategy: str | DDPStrategy = "auto"
    if settings.devices > 1:
        # Null tokens are unused in batches where nobody lacks the modality.
        strategy = DDPStrategy(start_method="spawn", find_unused_parameters=True)
    with advice_to_the_log():
        return Fabric(
            accelerator="cuda" if gpu else "cpu",
            devices=settings.devices,
            strategy=strategy,
            precision=precision,
        )
