"""The example of docs/how_to/add_task.md is a task: a folder and a line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how_to" / "add_task.md"
FILE = re.compile(r"^### `([\w/]+\.py)`\n\n```python\n(.*?)^```", re.M | re.S)
SETTINGS = re.compile(r"^```yaml\n(.*?)^```", re.M | re.S)


@pytest.mark.slow
def test_the_example_is_a_folder_and_a_line(tmp_path: Path) -> None:
    """In a copy of the package, in processes of its own: tables are built when it is imported."""
    page = PAGE.read_text("utf-8")
    source = tmp_path / "source"
    shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    folder = source / "survfuse" / "tasks" / "score"
    for name, code in FILE.findall(page):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(code, "utf-8")
    for package in (folder, folder / "learning"):
        (package / "__init__.py").touch()
    registry = source / "survfuse" / "tasks" / "registry.py"
    table = registry.read_text("utf-8")
    registry.write_text(table.replace("\n)\n", '\n    "score",\n)\n', 1), "utf-8")
    (settings,) = SETTINGS.findall(page)
    study = tmp_path / "study"
    study.mkdir()
    found = subprocess.run(
        [sys.executable, Path(__file__).with_name("score_study.py"), study, settings],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (source, ROOT / "tests")))},
    )
    assert found.returncode == 0, found.stdout + found.stderr
