"""Who may name a modality: its folder does; what loops over all of them does not."""

from __future__ import annotations

import ast
from pathlib import Path

from survfuse.modalities.registry import MODALITIES

SOURCE = Path(__file__).parents[2] / "src" / "survfuse"
# The folder of each modality, and the simulations, which draw particular ones.
FREE = ("modalities", "simulation")
SHEETS = "keys of the configuration that bring sheets"
ROLE = "the role of a row of the leaderboard, which is called clinical"
INPUTS = "a network or model that is defined by what it reads"
# Modules that have the name of a modality as a string, with the reason. The list may only shrink:
# a module that loops over the registry needs no entry.
NAMING = {
    "config/documentation.py": "the order of the sections",
    "config/imaging.py": "the names that an image sheet may use",
    "config/study.py": SHEETS,
    "config/synthesis.py": "which volumes can be asked for",
    "evaluation/roles.py": ROLE,
    "init/leaderboard.py": "rows for what a cohort of unknown sheets turns out to have",
    "init/sections.py": SHEETS,
    "init/start.py": "the counts of what it found in the sheets",
    "models/classical/clinical_cox.py": INPUTS,
    "models/classical/site_only.py": INPUTS,
    "models/networks/abmil.py": INPUTS,
    "models/networks/cmta.py": INPUTS,
    "models/networks/concat.py": INPUTS,
    "models/networks/dispro/model.py": INPUTS,
    "models/networks/dispro/prompts.py": INPUTS,
    "models/networks/itcfn.py": INPUTS,
    "models/networks/layers/group_embedding.py": INPUTS,
    "models/networks/mcat.py": INPUTS,
    "models/networks/mmp.py": INPUTS,
    "models/networks/mri_cnn.py": INPUTS,
    "models/networks/pibd/model.py": INPUTS,
    "models/networks/registry.py": INPUTS,
    "models/networks/snn.py": INPUTS,
    "models/networks/sparse_factors/model.py": INPUTS,
    "models/networks/survpath.py": INPUTS,
    "models/networks/transmil.py": INPUTS,
    "models/registry.py": INPUTS,
    "models/stacking/geneicl.py": INPUTS,
    "models/runnable.py": ROLE,
    "published/hancock.py": "a table of the published cohort",
    "reporting/diagnosis/cohort_page.py": "what a simulation says that sets of inputs could reach",
    "tasks/diagnosis/pet/same_patients.py": "a key of evaluation.json",
}


def names_a_modality(path: Path) -> bool:
    """Whether a string of a module is the name of a modality and nothing else."""
    strings = (
        node.value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    return any(value in MODALITIES for value in strings)


def test_no_other_module_names_a_modality() -> None:
    modules = (path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))
    naming = {
        path.as_posix()
        for path in modules
        if path.parts[0] not in FREE and names_a_modality(SOURCE / path)
    }
    assert naming == NAMING.keys()


def test_what_joins_the_modalities_names_none() -> None:
    """The registry does; beside it only folders of modalities do."""
    joining = [path for path in (SOURCE / "modalities").glob("*.py") if path.stem != "registry"]
    assert len(joining) > 5
    assert [path.name for path in joining if names_a_modality(path)] == []
