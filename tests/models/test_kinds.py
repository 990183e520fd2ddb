"""Kinds of models: what they are called and read, without importing any of them."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from survfuse.config.models import ModelConfig
from survfuse.core.errors import UserInputError
from survfuse.evaluation.rows import role_of
from survfuse.models.estimator import Estimator
from survfuse.models.networks.registry import MODELS
from survfuse.models.registry import KINDS, all_kinds
from survfuse.models.specs import label_of, reads_of, spec_of

ROOT = Path(__file__).parents[2]
SITE = ModelConfig(name="site_only", kind="site_only")
COX = ModelConfig(name="clinical_cox", kind="clinical_cox")
SNN = ModelConfig(name="snn", kind="snn")
CMTA = ModelConfig(name="my_cmta", kind="cmta")
LATE = ModelConfig(name="late", kind="late_fusion", options={"parts": ["clinical_cox", "my_cmta"]})


def forest(**options: object) -> ModelConfig:
    return ModelConfig(name="rsf", kind="rsf", options=options)


def test_every_network_is_a_kind_and_names_do_not_clash() -> None:
    kinds = all_kinds()
    for name, entry in MODELS.items():
        kind = kinds[name]
        assert (kind.label, kind.reads, kind.role) == (entry.label, entry.reads, "fusion")
        assert kind.tasks == (("survival", "diagnosis") if entry.any_task else ("survival",))
        assert (kind.network, kind.chooses, kind.absent) == (True, entry.chooses, entry.absent)
    assert not KINDS.keys() & MODELS.keys()
    assert {name: kind.role for name, kind in KINDS.items()} == {
        "site_only": "site",
        "clinical_cox": "clinical",
        "late_fusion": "late",
        "survfuse": "fusion",
        "residual_ridge": "fusion",
        "geneicl": "fusion",
        "stack": "late",
        "coxnet": "classical",
        "rsf": "classical",
        "boosting": "classical",
        "logistic": "classical",
    }
    assert not any(kind.network for kind in KINDS.values())
    assert [name for name, kind in kinds.items() if kind.averages] == ["late_fusion", "stack"]
    assert len({kind.label for kind in kinds.values()}) == len(kinds)


@pytest.mark.parametrize(
    ("kind", "task"), [(name, task) for name, kind in all_kinds().items() for task in kind.tasks]
)
def test_behind_every_kind_and_task_is_an_estimator(kind: str, task: str) -> None:
    estimator = all_kinds()[kind].load(task)
    for method in ("check", "fit", "predict"):
        expected = list(inspect.signature(getattr(Estimator, method)).parameters)[1:]
        assert list(inspect.signature(getattr(estimator, method)).parameters) == expected


# What compares the names of rows that it writes into a configuration itself.
WRITES_ROWS = {"survfuse/init/leaderboard.py", "survfuse/init/sections.py"}


def compared(path: Path) -> list[str]:
    """The texts that a module compares something with."""
    found: list[ast.expr] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare):
            found += [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            found.append(node.value)
    inside = [
        one for each in found for one in (each.elts if isinstance(each, ast.Tuple) else [each])
    ]
    return [one.value for one in inside if isinstance(one, ast.Constant)]


def test_nothing_but_the_tables_knows_the_kinds_by_name() -> None:
    kinds = set(all_kinds())
    branching = {
        str(path.relative_to(ROOT / "src")): named
        for path in sorted((ROOT / "src").rglob("*.py"))
        if (named := kinds.intersection(map(str, compared(path))))
    }
    assert branching.keys() == WRITES_ROWS
    rules = "".join(path.read_text() for path in (ROOT / "workflow").rglob("*.smk"))
    assert not re.search(rf"""["']({"|".join(kinds - {"survfuse"})})["']""", rules)


def test_a_row_is_called_by_its_kind_only_where_it_bears_its_name() -> None:
    assert label_of(SNN) == "SNN (genes)"
    assert label_of(CMTA) == "my_cmta"
    assert label_of(forest()) == "Random survival forest"


def test_classical_models_read_what_they_are_told() -> None:
    assert spec_of(forest()).reads == ("clinical", "omics", "slides")
    assert spec_of(forest(modalities=["slides", "clinical"])).reads == ("slides", "clinical")


@pytest.mark.parametrize(
    "listed", [[], "slides", None, ["genes"], ["slides", "slides"], [{}], ["site"]]
)
def test_wrong_modalities_are_refused(listed: object) -> None:
    with pytest.raises(UserInputError, match=r"models\.rsf: options\.modalities must list some of"):
        spec_of(forest(modalities=listed))


def test_unknown_kinds_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UserInputError, match=r"models\.a: there is no model 'b'; .*rsf.*cmta"):
        spec_of(ModelConfig(name="a", kind="b"))


def test_a_late_fusion_reads_what_its_parts_read_once() -> None:
    assert reads_of(LATE, [COX, SNN, CMTA, LATE]) == ("clinical", "slides", "omics")
    both = LATE.model_copy(update={"options": {"parts": ["snn", "my_cmta"]}})
    assert reads_of(both, [COX, SNN, CMTA, LATE]) == ("omics", "slides")
    assert reads_of(CMTA, []) == ("slides", "omics")


def test_roles_follow_kind_and_number_of_modalities() -> None:
    rows = [SITE, COX, SNN, CMTA, LATE, forest(), forest(modalities=["omics"])]
    assert [role_of(row, rows) for row in rows] == [
        *["site", "clinical", "unimodal", "fusion", "late", "classical", "unimodal"]
    ]
    permuted = [row.model_copy(update={"permute_outcomes": True}) for row in rows]
    assert {role_of(row, rows) for row in permuted} == {"control"}


def test_the_table_imports_no_model() -> None:
    code = (
        "import sys, survfuse.models.specs; survfuse.models.registry.all_kinds(); "
        "sys.exit(bool({'torch', 'sksurv', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_kind_that_there_is_not_is_told_with_the_nearest() -> None:
    with pytest.raises(UserInputError, match=r"no model 'Survfus'; did you mean survfuse\? known"):
        spec_of(ModelConfig(name="x", kind="Survfus"))
