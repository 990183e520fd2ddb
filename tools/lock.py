"""Resolve the requirements into lock files that carry the hashes of every file: `make lock`.

    python tools/lock.py            the newest versions that requirements*.in allow
    python tools/lock.py --keep     the versions of the present lock files, as far as allowed

requirements.lock holds everything but torch, which has two builds of one version. That of PyPI for
Linux is made for CUDA and is in requirements-cuda.lock with the libraries it asks for, gigabytes
that a machine without a GPU need not fetch; the CPU build, for which pip must be set to an index
that has it, is in requirements-cpu.lock. requirements-tools.lock has the versions of the first.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAIN, CPU, CUDA = (ROOT / f"requirements{build}.lock" for build in ("", "-cpu", "-cuda"))
TOOLS = ROOT / "requirements-tools.lock"
OF_CUDA = re.compile(r"(torch|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+|triton)==")
# Hashes of the CPU build by version: for Linux on x86-64 with Python 3.11. To add others:
# pip download --no-deps torch, from the CPU index of PyTorch; pip hash FILE
TORCH_CPU = {
    "2.13.0": ("sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b",),
}
HEADER = "# Written by `make lock` from requirements*.in, never by hand.\n# {purpose}\n"


def resolve(source: Path, keep: list[Path]) -> list[str]:
    """Every requirement of a file with its version and hashes, one text each.

    `keep`: lock files whose versions are preferred.
    """
    command = ["uv", "pip", "compile", str(source), "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-annotate", "--no-header", "--quiet"]
    for path in keep:
        command += ["--constraints", str(path)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return re.findall(r"^\S.*\n(?:[ \t].*\n)*", text, flags=re.M)


def cpu_build(requirements: list[str]) -> str:
    """The requirement of torch's CPU build, of the version that was resolved."""
    found = next(
        re.match(r"torch==(\S+)", one) for one in requirements if one.startswith("torch==")
    )
    if found is None or found[1] not in TORCH_CPU:
        sys.exit(f"tools/lock.py: add the hash of the CPU build to TORCH_CPU: {found}")
    hashes = (f" \\\n    --hash={digest}" for digest in TORCH_CPU[found[1]])
    return f"torch=={found[1]}+cpu{''.join(hashes)}\n"


def write(path: Path, purpose: str, requirements: list[str]) -> None:
    """Write a lock file."""
    path.write_text(HEADER.format(purpose=purpose) + "".join(requirements))


def main() -> None:
    """Write all lock files anew."""
    kept = [path for path in (MAIN, CUDA) if "--keep" in sys.argv and path.is_file()]
    found = resolve(ROOT / "requirements.in", kept)
    cuda = [one for one in found if OF_CUDA.match(one)]
    rest = [one for one in found if one not in cuda]
    write(MAIN, "All but torch: that is in requirements-cpu.lock or requirements-cuda.lock.", rest)
    write(CPU, "torch for the CPU, from an index that has this build.", [cpu_build(cuda)])
    write(CUDA, "torch for CUDA as PyPI has it, with the libraries it asks for.", cuda)
    kept = [MAIN, *([TOOLS] if kept and TOOLS.is_file() else [])]
    write(TOOLS, "For `make docs` and `make sbom`.", resolve(ROOT / "requirements-tools.in", kept))


if __name__ == "__main__":
    main()
