"""Where and how precisely networks are trained: device, precision, processes."""

from __future__ import annotations

import ctypes
import sys
from typing import Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

from survfuse.config_training import TrainingConfig
from survfuse.errors import MissingResourceError

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of <malloc.h>


def keep_freed_memory() -> None:
    """Let glibc reuse the memory of large tensors instead of handing it back to the system.

    Every step needs as much again, and the system zeroes each page anew, which takes a fifth of a
    step of PIBD. Memory is handed back when more than 2 GiB in a row are free.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def start_engine(settings: TrainingConfig, device: torch.device) -> Fabric:
    """Fabric for one training job, and PyTorch's threads and determinism set accordingly.

    Raises MissingResourceError where fewer GPUs are visible than training.devices.
    """
    gpu = device.type == "cuda"
    if gpu and torch.cuda.device_count() < settings.devices:
        raise MissingResourceError(
            f"training.devices is {settings.devices}, but {torch.cuda.device_count()} GPUs are "
            "visible; request more from the scheduler, or reduce it"
        )
    keep_freed_memory()
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(True, warn_only=gpu)
    half = settings.precision == "bf16" or (settings.precision == "auto" and gpu)
    precision: Literal["bf16-mixed", "32-true"] = "bf16-mixed" if half else "32-true"
    strategy: str | DDPStrategy = "auto"
    if settings.devices > 1:
        # Null tokens are unused in batches where nobody lacks the modality.
        strategy = DDPStrategy(start_method="spawn", find_unused_parameters=True)
    return Fabric(
        accelerator="cuda" if gpu else "cpu",
        devices=settings.devices,
        strategy=strategy,
        precision=precision,
    )
