"""The example of docs/how_to/add_network.md works, and the page of models is complete."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from fusion_batches import SHAPES, make_batch, rows_of
from survfuse.models.networks.registry import MODELS, Entry, build
from survfuse.tasks.survival.hazards import discrete_nll

DOCS = Path(__file__).parents[3] / "docs"
PAGE = DOCS / "how_to" / "add_network.md"


@pytest.fixture
def example(tmp_path: Path) -> ModuleType:
    """The first Python block of the page, imported as the file it says it is."""
    block = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    path = tmp_path / "average.py"
    path.write_text(block.group(1), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("average", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_example_registers_builds_trains_and_predicts(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = re.search(
        r'^    "(\w+)": (Entry\(.*\)),$', PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert line is not None
    kind, entry = line.groups()
    monkeypatch.setitem(sys.modules, "survfuse.models.networks.average", example)
    monkeypatch.setitem(MODELS, kind, eval(entry, {"Entry": Entry}))
    torch.manual_seed(0)
    model = build(kind, SHAPES, {"width": 16, "dropout": 0.0})
    batch = make_batch([5, 3, 6], absent=[(0, "slides"), (2, "omics")])
    bins, event = torch.tensor([0, 1, 3]), torch.tensor([1, 0, 1])
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(20):
        loss = discrete_nll(model(batch).logits, bins, event)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1
    together = model(batch, attention=True)
    assert together.attention["slides"].sum(dim=1).tolist() == pytest.approx([0.0, 1.0, 1.0])
    for row in range(3):
        alone = model(rows_of(batch, [row])).logits[0]
        torch.testing.assert_close(together.logits[row], alone, atol=1e-5, rtol=0)


def test_every_model_and_option_is_on_the_page() -> None:
    page = (DOCS / "reference" / "models.md").read_text(encoding="utf-8")
    for kind, model in MODELS.items():
        row = re.search(rf"^\| `{kind}` \|.*$", page, re.MULTILINE)
        assert row is not None, kind
        defaults = model.load().__init__.__kwdefaults__
        documented = dict(re.findall(r"`(\w+)` \(([^)]*)\)", row.group()))
        assert documented == {name: str(default) for name, default in defaults.items()}
