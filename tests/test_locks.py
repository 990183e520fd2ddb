"""What is installed: every requirement has one version, and every file of it a hash."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILDS = ("", "-cpu", "-cuda")
LOCKS = sorted(ROOT.glob("requirements*.lock"))


def pinned(path: Path) -> dict[str, tuple[str, list[str]]]:
    """Of a lock file: name -> version and hashes."""
    entries = re.findall(r"^(\S+?)==(\S+).*\n((?:[ \t].*\n)*)", path.read_text(), flags=re.M)
    return {
        name: (number, re.findall(r"--hash=(sha256:[0-9a-f]{64})\b", hashes))
        for name, number, hashes in entries
    }


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_line_of_a_lock_is_a_version_or_a_hash(path: Path) -> None:
    lines = path.read_text().splitlines()
    packages = [line for line in lines if not line.startswith(("#", " "))]
    assert {line.partition("==")[0] for line in packages} == pinned(path).keys() != set()
    assert all(hashes for _, hashes in pinned(path).values())


def test_the_lock_holds_what_was_asked_for() -> None:
    locked = {**pinned(ROOT / "requirements.lock"), **pinned(ROOT / "requirements-cuda.lock")}
    asked = re.findall(r"^([\w.-]+)(?:==(\S+))?", (ROOT / "requirements.in").read_text(), re.M)
    for name, number in asked:
        found = locked[name.lower().replace(".", "-")][0]
        assert found == (number or found)


def test_torch_has_two_builds_of_one_version_and_only_one_brings_cuda() -> None:
    main, cpu, cuda = (pinned(ROOT / f"requirements{build}.lock") for build in BUILDS)
    assert not main.keys() & cuda.keys() and "torch" not in main
    number = cuda["torch"][0]
    assert version("torch").partition("+")[0] == number
    assert cpu.keys() == {"torch"} and cpu["torch"][0] == f"{number}+cpu"
    assert {"triton", "nvidia-cublas", "cuda-bindings"} <= cuda.keys()
    ours = ("torch", "nvidia-", "cuda-", "triton")
    assert all(name.startswith(ours) and name != "torchvision" for name in cuda)
