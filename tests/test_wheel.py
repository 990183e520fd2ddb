"""The package as a wheel: all that a run needs, without the repository."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the package, built from a copy of what it is made of."""
    home = tmp_path_factory.mktemp("source")
    for name in ("src", "workflow"):
        unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, home / name, symlinks=True, ignore=unwanted)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, home)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "-q", "-w", home / "built", home], check=True)
    return next((home / "built").glob("survfuse-*.whl"))


def test_the_wheel_holds_the_workflow(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    files = [path for path in (ROOT / "workflow").rglob("*") if path.is_file()]
    assert {f"survfuse/{path.relative_to(ROOT)}" for path in files} <= held
    package = [path for path in (ROOT / "src/survfuse").rglob("*") if path.is_file()]
    ours = {str(path.relative_to(ROOT / "src")) for path in package if path.suffix != ".pyc"}
    assert ours <= held


def test_a_study_starts_and_runs_outside_the_repository(wheel: Path, tmp_path: Path) -> None:
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target"]
    subprocess.run([*pip, site, wheel], check=True)
    alone = {**os.environ, "PYTHONPATH": str(site)}

    def survfuse(*arguments: str, folder: Path) -> str:
        command = [sys.executable, "-m", "survfuse", *arguments]
        done = subprocess.run(command, cwd=folder, env=alone, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    survfuse("init", "study", folder=empty)
    study = empty / "study"
    assert f"$schema={site}/survfuse/workflow/schemas" in (study / "config.yaml").read_text()
    with (study / "patients.tsv").open("a") as sheet:
        sheet.write("P1\t3\t1\tA\t50\tm\tI\n")
    assert "make_splits   1 " in survfuse("run", "--config", "config.yaml", "-n", folder=study)
    command = ["snakemake", "--dry-run", "--cores", "1", "--printshellcmds"]
    done = subprocess.run(command, cwd=study, env=alone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert not any(str(ROOT / name) in said for name in ("src", "workflow", "Snakefile"))
