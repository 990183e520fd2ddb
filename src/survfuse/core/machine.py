"""What a machine offers: processor, memory, GPUs, room on a disk."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Of x86 and ARM processors, those that make networks faster, as Linux calls them.
WORTH_KNOWING = (
    *("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"),
    *("asimd", "bf16", "i8mm", "sve"),
)
MULTIPLY_BF16 = ("avx512_bf16", "amx_bf16", "bf16")
PROCESSORS, MEMORY = Path("/proc/cpuinfo"), Path("/proc/meminfo")
GIB = 2**30


@dataclass(frozen=True)
class Machine:
    """What this process finds; None or empty where the system does not tell."""

    system: str
    processor: str
    threads: int  # that this process may use
    instructions: tuple[str, ...]  # of WORTH_KNOWING
    multiplies_bf16: bool  # whether the processor does
    memory_gib: float | None
    torch: str
    gpus: tuple[str, ...]  # name and memory of each


def this_machine() -> Machine:
    """What this machine offers to this process."""
    import torch

    processor = dict(fields_of(PROCESSORS))
    flags = set((processor.get("flags") or processor.get("Features") or "").split())
    instructions = tuple(name for name in WORTH_KNOWING if name in flags)
    memory = dict(fields_of(MEMORY)).get("MemTotal", "").removesuffix(" kB")
    return Machine(
        system=platform.platform(aliased=True, terse=True),
        processor=processor.get("model name") or platform.processor() or platform.machine(),
        threads=threads_given(),
        instructions=instructions,
        multiplies_bf16=any(name in MULTIPLY_BF16 for name in instructions),
        memory_gib=round(int(memory) * 1024 / GIB, 1) if memory.isdecimal() else None,
        torch=torch.__version__,
        gpus=tuple(
            f"{one.name}, {one.total_memory / GIB:.0f} GiB"
            for one in map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
        ),
    )


def threads_given() -> int:
    """The hardware threads that this process may use; all of them where a system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def fields_of(path: Path) -> Iterator[tuple[str, str]]:
    """The fields `name: value` of a file of Linux; none where it is not there."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            yield name.strip(), value.strip()


def free_gib(place: Path) -> float:
    """Room on the disk that a path is on, or would be on once it is made."""
    there = next(one for one in (place, *place.absolute().parents) if one.exists())
    return round(shutil.disk_usage(there).free / GIB, 1)
