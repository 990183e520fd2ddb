"""Explanations of networks whose answers are known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fusion_batches import CLINICAL_DIM, MODALITIES, SHAPES, WIDTHS, make_batch, rows_of
from inputs_fixture import fitting_config
from survfuse.explain.attribution import attribute, by_part, frozen, risk_of
from survfuse.explain.ensemble import (
    ExplainSettings,
    attention_weights,
    cut,
    cyclic_permutation,
    explain_fold,
    permuted_risks,
    same_sign,
    with_modality_of,
)
from survfuse.modalities.scaling import fit_scalers
from survfuse.models.networks.interface import Batch, Output, Shapes
from survfuse.models.networks.registry import build
from survfuse.training.tokens import token_source
from training_fixture import cohort

SIZES = [3, 8, 5, 6, 4, 7]
ABSENT = [(1, "omics"), (4, "omics"), (2, "slides"), (5, "clinical")]
GROUPS = {f"group {number}": width for number, width in enumerate(WIDTHS)}
COVARIATES = {"age": 1, "stage": 1, "site": CLINICAL_DIM - 2}
PARTS = {"omics": GROUPS, "clinical": COVARIATES}
MARGINAL = torch.linspace(-2.0, -1.0, 4)
SETTINGS = ExplainSettings(batch_size=4, draws=3)
ROWS = range(len(SIZES))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Source:
    """Patients in memory; padding and absent values are NaN."""

    whole: Batch

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.whole.modalities

    @property
    def available(self) -> np.ndarray:
        return self.whole.available.numpy()

    @property
    def patient_ids(self) -> tuple[str, ...]:
        return tuple(f"P{row}" for row in range(len(self.whole.available)))

    def batch(self, rows: Sequence[int], max_tiles: int = 0, seed: Sequence[int] = ()) -> Batch:  # noqa: ARG002
        return rows_of(self.whole, rows)


def source(
    absent: Sequence[tuple[int, str]] = tuple(ABSENT), sizes: Sequence[int] = tuple(SIZES)
) -> Source:
    return Source(make_batch(sizes, absent=absent))


class Linear(nn.Module):
    """Log-hazard ratio: linear in the genes, the covariates and the mean of the first channel."""

    def __init__(self, genes: float = 1.0, clinical: float = 1.0, slides: float = 1.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.genes = nn.Parameter(genes * torch.randn(sum(WIDTHS), generator=generator))
        self.clinical = nn.Parameter(clinical * torch.randn(CLINICAL_DIM, generator=generator))
        self.slides = nn.Parameter(torch.tensor(slides))

    def forward(self, batch: Batch, attention: bool = False) -> Output:
        real = batch.real("slides")
        count = real.sum(dim=1).clamp(min=1)
        mean = batch.values("slides")[:, :, 0].sum(dim=1) / count
        log_ratio = (
            batch.values("omics")[:, 0] @ self.genes
            + batch.values("clinical")[:, 0] @ self.clinical
            + self.slides * mean
        )
        shares = {"slides": real / count[:, None]} if attention else {}
        return Output(log_ratio[:, None], attention=shares)


class Bins(nn.Module):
    """Four bins; curved in everything, and with a product of genes and slides."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = Linear(0.3, 0.3, 0.5)
        self.spread = nn.Parameter(torch.tensor([0.5, 1.0, 1.5, -0.5]))

    def forward(self, batch: Batch, attention: bool = False) -> Output:
        found = self.linear(batch, attention)
        slides = batch.values("slides")[:, :, 1].sum(dim=1, keepdim=True).tanh()
        curved = torch.tanh(found.logits) * (1 + slides) * self.spread
        return replace(found, logits=curved)


def batches(patients: Source, settings: ExplainSettings = SETTINGS) -> Iterator[Batch]:
    return cut(patients, list(range(len(patients.patient_ids))), settings, torch.device("cpu"))


def test_a_linear_risk_is_attributed_by_coefficient_times_value() -> None:
    patients, network = source(), Linear()
    found = attribute(network, batches(patients), ("omics", "clinical"), None, 2)
    for name, weights in (("omics", network.genes), ("clinical", network.clinical)):
        expected = (patients.whole.tokens[name][:, 0] * weights).detach().numpy()  # NaN: absent
        np.testing.assert_allclose(found.columns[name], expected, atol=1e-5)
        absent = np.isnan(found.columns[name]).all(axis=1)
        assert np.flatnonzero(absent).tolist() == [row for row, which in ABSENT if which == name]
    told = sum(np.nansum(values, axis=1) for values in found.columns.values())
    np.testing.assert_allclose(found.risk - found.at_average, told, atol=1e-5)


def test_one_group_and_one_covariate_get_all_of_it() -> None:
    """The risk reads only the third gene group and the second covariate."""
    network = Linear()
    with torch.no_grad():
        network.genes[:4] = network.genes[11:] = 0
        network.clinical[torch.arange(CLINICAL_DIM) != 1] = 0
    explained = explain_fold([network], source([]), ROWS, None, PARTS, 0, 0, SETTINGS)
    groups, covariates = explained.attribution["omics"], explained.attribution["clinical"]
    assert (groups[:, [0, 1, 3]] == 0).all()
    assert (covariates[:, [0, 2]] == 0).all()
    tokens = source([]).whole.tokens
    expected = (tokens["omics"][:, 0, 4:11] @ network.genes[4:11]).detach()
    np.testing.assert_allclose(groups[:, 2], expected, atol=1e-5)
    expected = (tokens["clinical"][:, 0, 1] * network.clinical[1]).detach()
    np.testing.assert_allclose(covariates[:, 1], expected, atol=1e-5)
    assert explained.names == {"omics": tuple(GROUPS), "clinical": tuple(COVARIATES)}


def test_attributions_of_a_curved_risk_are_complete() -> None:
    network = Bins()
    fine = attribute(network, batches(source()), ("omics", "clinical"), MARGINAL, 32)
    told = sum(np.nansum(values, axis=1) for values in fine.columns.values())
    np.testing.assert_allclose(told, fine.risk - fine.at_average, atol=1e-4)
    logits = network(source().whole).logits.detach() + MARGINAL
    survival = (1 - torch.sigmoid(logits)).cumprod(dim=1)
    np.testing.assert_allclose(fine.risk, -survival.sum(dim=1), atol=1e-5)
    assert np.abs(fine.risk - fine.at_average).max() > 0.1


def test_the_path_is_integrated_not_its_end_taken() -> None:
    """risk = x^2: the gradient at the patient times x is twice what x^2 - 0 is."""

    class Square(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Parameter(torch.ones(1))

        def forward(self, batch: Batch) -> Output:
            return Output(self.one * batch.values("clinical")[:, 0, :1] ** 2)

    patients = source([])
    found = attribute(Square(), batches(patients), ("clinical",), None, 4)
    square = patients.whole.tokens["clinical"][:, 0, 0] ** 2
    np.testing.assert_allclose(found.columns["clinical"][:, 0], square, rtol=1e-5)
    assert (found.columns["clinical"][:, 1:] == 0).all()


@pytest.mark.parametrize("kind", ["cmta", "snn"])
def test_registered_models_are_explained_completely(kind: str) -> None:
    """Weights are moved from where they start: biases of zero make layer normalisation jump at
    the average patient, which no network keeps for more than a few steps of training."""
    torch.manual_seed(0)
    reads = {"cmta": ("slides", "omics"), "snn": ("omics",)}[kind]
    network = build(kind, SHAPES, {"width": 16})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.03 * torch.randn_like(parameter))
    whole = make_batch(SIZES, absent=ABSENT[:3])
    columns = [MODALITIES.index(name) for name in reads]
    patients = Source(replace(whole, available=whole.available[:, columns], modalities=reads))
    fine = replace(SETTINGS, steps=32, draws=1)
    explained = explain_fold([network], patients, ROWS, MARGINAL, PARTS, 0, 0, fine)
    assert list(explained.attribution) == ["omics"]
    moved = np.abs(explained.risk - explained.at_average)
    assert moved.max() > 0.01
    assert np.abs(explained.gap).max() < 0.05 * moved.max()
    assert (moved[[1, 4]] == 0).all()  # without genes there is nothing to replace by the average
    finite = np.isfinite(explained.attribution["omics"]).all(axis=1)
    assert finite.tolist() == [True, False, True, True, False, True]


def test_neither_order_nor_batches_nor_absent_values_change_anything() -> None:
    network, patients = Bins(), source()
    order = [4, 2, 0, 5, 3, 1]
    whole = {name: tokens.clone() for name, tokens in patients.whole.tokens.items()}
    for name in MODALITIES:
        whole[name][torch.isnan(whole[name])] = 1e6  # instead of NaN
    loud = Source(replace(patients.whole, tokens=whole))
    reference = explain_fold([network], patients, ROWS, MARGINAL, PARTS, 0, 0, SETTINGS)
    single = replace(SETTINGS, batch_size=1)
    for other, rows, settings in (
        (patients, ROWS, single),
        (patients, order, SETTINGS),
        (loud, ROWS, SETTINGS),
    ):
        again = explain_fold([network], other, rows, MARGINAL, PARTS, 0, 0, settings)
        back = np.argsort(rows)
        np.testing.assert_allclose(again.risk[back], reference.risk, atol=1e-6)
        np.testing.assert_allclose(again.at_average[back], reference.at_average, atol=1e-6)
        for name in PARTS:
            found = again.attribution[name][back]
            np.testing.assert_allclose(found, reference.attribution[name], atol=1e-6)
        if rows is ROWS:
            for name, risks in reference.permuted.items():
                np.testing.assert_allclose(again.permuted[name], risks, atol=1e-6)


def test_an_unused_modality_moves_nothing() -> None:
    found = permuted_risks(Linear(genes=0.0), source(), ROWS, None, SETTINGS)
    own = risk_of(Linear(genes=0.0)(source().whole).logits, None).detach().numpy()
    with_genes = [0, 2, 3, 5]
    expected = np.full((3, 6), np.nan)
    expected[:, with_genes] = own[with_genes]
    np.testing.assert_allclose(found["omics"], expected, atol=1e-6)
    assert np.nanmin(np.abs(found["slides"] - own)) > 1e-3
    explained = explain_fold([Linear(genes=0.0)], source(), ROWS, None, PARTS, 0, 0, SETTINGS)
    assert (explained.attribution["omics"][with_genes] == 0).all()


def test_slides_alone_carry_the_risk_of_their_patient() -> None:
    """Exchanging the slides of a model of slides gives each patient another one's risk."""
    network, patients = Linear(genes=0.0, clinical=0.0), source()
    own = network(patients.whole).logits[:, 0].detach().numpy()
    found = permuted_risks(network, patients, ROWS, None, SETTINGS)["slides"]
    present = np.array([0, 1, 3, 4, 5])
    for draw in range(SETTINGS.draws):
        receivers, donors = cyclic_permutation(present, (SETTINGS.seed, draw), "slides")
        np.testing.assert_allclose(found[draw, receivers], own[donors], atol=1e-6)
    assert np.isnan(found[:, 2]).all()
    still = permuted_risks(network, patients, ROWS, None, SETTINGS)
    for name in ("omics", "clinical"):
        kept = np.isfinite(still[name])
        np.testing.assert_allclose(still[name][kept], np.tile(own, (3, 1))[kept], atol=1e-6)


def test_everyone_gets_somebody_elses_and_every_other_equally_often() -> None:
    present = np.array([2, 3, 5, 7])
    counts = np.zeros((8, 8), dtype=int)
    for draw in range(900):
        receivers, donors = cyclic_permutation(present, (0, draw), "omics")
        assert sorted(receivers) == sorted(donors) == present.tolist()
        counts[receivers, donors] += 1
    assert (np.diag(counts) == 0).all()
    others = counts[np.ix_(present, present)][~np.eye(4, dtype=bool)]
    assert others.sum() == 3600
    assert np.abs(others - 300).max() < 70  # standard deviation 14
    orders = {
        tuple(cyclic_permutation(present, (0, draw), m)[0]) for draw in (1, 2) for m in MODALITIES
    }
    assert len(orders) > 3


def test_a_modality_of_one_patient_cannot_be_exchanged() -> None:
    patients = source([(row, "omics") for row in range(5)])
    assert list(permuted_risks(Linear(), patients, ROWS, None, SETTINGS)) == ["slides", "clinical"]


def test_only_the_named_modality_is_taken_from_the_other() -> None:
    own, other = make_batch([3, 5], with_coords=True), make_batch([7, 2], with_coords=True, seed=1)
    mixed = with_modality_of(own, other, "slides")
    assert mixed.tokens["slides"] is other.tokens["slides"]
    assert mixed.mask["slides"] is other.mask["slides"]
    assert mixed.coords["slides"] is other.coords["slides"]
    assert mixed.tokens["omics"] is own.tokens["omics"]
    assert mixed.tokens["clinical"] is own.tokens["clinical"]


def test_an_ensemble_is_explained_as_the_mean_of_its_members() -> None:
    networks = [Linear(1.0), Linear(2.0), Linear(-0.5)]
    together = explain_fold(networks, source(), ROWS, None, PARTS, 1, 3, SETTINGS)
    alone = [explain_fold([n], source(), ROWS, None, PARTS, 1, 3, SETTINGS) for n in networks]
    assert (together.repeat, together.fold, together.members) == (1, 3, 3)
    np.testing.assert_allclose(together.risk, np.mean([a.risk for a in alone], axis=0))
    for name in PARTS:
        expected = np.mean([a.attribution[name] for a in alone], axis=0)
        np.testing.assert_allclose(together.attribution[name], expected)
        expected = np.mean([a.permuted[name] for a in alone], axis=0)
        np.testing.assert_allclose(together.permuted[name], expected)
    with_genes = [0, 2, 3, 5]
    np.testing.assert_allclose(together.same_sign["omics"][with_genes], 2 / 3)
    assert np.isnan(together.same_sign["omics"][[1, 4]]).all()
    assert np.isnan(alone[0].same_sign["clinical"]).all()


def test_signs_are_compared_with_the_mean() -> None:
    members = np.array([[[1.0, -1.0, 0.0, np.nan]], [[3.0, -1.0, 0.0, np.nan]], [[-1.0, 4, 0, 0]]])
    np.testing.assert_allclose(same_sign(members), [[2 / 3, 1 / 3, 1.0, np.nan]])


def test_attention_is_kept_where_tokens_are_real() -> None:
    found = attention_weights(Linear(), batches(source()))
    assert [len(weights) for weights in found["slides"]] == [3, 8, 0, 6, 4, 7]
    np.testing.assert_allclose(found["slides"][1], np.full(8, 1 / 8), rtol=1e-6)


class Attentive(Linear):
    """Attention on tiles by their first channel, on groups by their number, turned by `sign`."""

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, batch: Batch, attention: bool = False) -> Output:
        found = super().forward(batch)
        if not attention:
            return found
        scores = self.sign * batch.values("slides")[:, :, 0]
        tiles = scores.masked_fill(~batch.real("slides"), float("-inf")).softmax(dim=1)
        groups: Tensor = self.sign * torch.arange(4.0) + batch.values("omics")[:, 0, :1]
        shares = {"slides": tiles.nan_to_num(), "groups": groups.softmax(dim=1)}
        return replace(found, attention=shares)


def test_members_agree_on_tiles_and_groups_as_their_ranks_do() -> None:
    networks = [Attentive(1.0), Attentive(2.0), Attentive(-1.0)]
    found = explain_fold(networks, source(), ROWS, None, PARTS, 0, 0, SETTINGS)
    expected = np.full(6, (1 - 1 - 1) / 3)
    expected[2] = np.nan
    np.testing.assert_allclose(found.attention_agreement["slides"], expected, atol=1e-12)
    expected[2] = -1 / 3
    expected[[1, 4]] = np.nan
    np.testing.assert_allclose(found.attention_agreement["groups"], expected, atol=1e-12)
    np.testing.assert_allclose(found.group_attention[0].sum(), 1.0, rtol=1e-6)
    assert np.isnan(found.group_attention[[1, 4]]).all()
    assert found.group_attention.shape == (6, 4)
    without = explain_fold([Linear()], source(), ROWS, None, PARTS, 0, 0, SETTINGS)
    assert without.group_attention.shape == (6, 0)
    assert np.isnan(without.attention_agreement["slides"]).all()


def test_columns_are_summed_within_parts() -> None:
    columns = np.array([[1.0, 2.0, 3.0, 4.0], [np.nan, np.nan, np.nan, np.nan]])
    found = by_part(columns, {"a": 1, "b": 3})
    np.testing.assert_array_equal(found, [[1.0, 9.0], [np.nan, np.nan]])
    for wrong in ({"a": 1, "b": 2}, {"a": 0, "b": 4}, {}):
        with pytest.raises(ValueError, match="do not fit 4 columns"):
            by_part(columns, wrong)


def test_the_network_is_given_back_as_it_was() -> None:
    network = Linear()
    network.slides.requires_grad_(False)
    with frozen(network):
        assert not any(parameter.requires_grad for parameter in network.parameters())
        assert not network.training
    kept = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert kept == {"genes", "clinical"}
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_tokens_of_a_cohort_are_explained() -> None:
    """The scaled genes of the real source: the same draws with any batch size, few tiles read."""
    inputs, _, _ = cohort(n=24)
    ids = inputs.patients.index.tolist()
    reads = ("slides", "omics")
    scalers = fit_scalers(inputs, ids[:16], reads, fitting_config())
    tokens = token_source(inputs, ids, reads, scalers)
    shapes: Shapes = tokens.shapes(4)
    torch.manual_seed(0)
    networks = [build("cmta", shapes, {"width": 16}) for _ in range(2)]
    parts = {"omics": {"one": 4, "two": 4}, "clinical": {"age": 1}}
    few = ExplainSettings(steps=2, draws=2, max_tiles=6, batch_size=5)
    rows = range(8, 24)
    found = explain_fold(networks, tokens, rows, MARGINAL, parts, 0, 0, few)
    assert found.patient_ids == tuple(ids[8:])
    assert np.isnan(found.attribution["omics"]).all(axis=1).tolist() == [False] * 14 + [True] * 2
    assert np.isnan(found.permuted["slides"][0]).tolist() == [False] * 12 + [True] * 2 + [False] * 2
    again = explain_fold(networks, tokens, rows, MARGINAL, parts, 0, 0, replace(few, batch_size=16))
    for name in ("slides", "omics"):
        np.testing.assert_allclose(again.permuted[name], found.permuted[name], atol=1e-5)
    np.testing.assert_allclose(again.risk, found.risk, atol=1e-5)
    every = explain_fold(
        networks, tokens, rows, MARGINAL, parts, 0, 0, replace(few, max_tiles=100, draws=1)
    )
    logits = [n(tokens.batch(list(rows))).logits.detach() for n in networks]
    expected = np.mean([risk_of(values, MARGINAL).numpy() for values in logits], axis=0)
    np.testing.assert_allclose(every.risk, expected, atol=1e-5)
