"""DisPro with prototypes: ranking, slots, frozen classes, losses and what it can learn."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace

import pytest
import torch
from sksurv.metrics import concordance_index_censored
from torch import Tensor, nn

from fusion_batches import CLINICAL_DIM, SHAPES, WIDTHS, make_batch, make_targets, rows_of
from inputs_fixture import shapes_of
from survfuse.core.errors import UserInputError
from survfuse.models.networks.dispro.branch import Branch, TileBranch
from survfuse.models.networks.dispro.label import label
from survfuse.models.networks.dispro.model import DisPro
from survfuse.models.networks.dispro.prompts import Prototypes
from survfuse.models.networks.dispro.scoring import (
    evidence,
    similarity,
    status_free,
    status_loss,
    top_mean,
)
from survfuse.models.networks.interface import Batch, Output, Shapes, SurvivalTargets
from survfuse.models.networks.layers.encoder_layer import EncoderLayer
from survfuse.models.networks.registry import MODELS, build
from survfuse.tasks.survival.hazards import risk_from_logits, survival_from_logits

ABSENT = ((1, "slides"), (2, "omics"))


def small(shapes: Shapes = SHAPES, **options: float) -> DisPro:
    torch.manual_seed(0)
    return DisPro(shapes, **{"width": 32, "sequence_length": 24, **options})


def in_stage(model: DisPro, stage: str) -> DisPro:
    model.begin(stage)
    return model


def training_batch(sizes: list[int], **details: object) -> Batch:
    return make_batch(sizes, **details).with_targets(make_targets(len(sizes)))


def total(output: Output, targets: SurvivalTargets) -> Tensor:
    return targets.loss(output.logits) + sum(output.losses.values())


def step(model: DisPro, batch: Batch, seed: int = 0) -> None:
    """One step of what the stage trains."""
    torch.manual_seed(seed)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.0)
    total(model.train()(batch), batch.targets).backward()
    optimiser.step()
    model.zero_grad()


def copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(before: dict[str, Tensor], model: nn.Module) -> set[str]:
    return {name for name, value in model.state_dict().items() if not value.equal(before[name])}


def count(parameters: Iterable[Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters)


# --- sizes


@pytest.mark.parametrize(
    ("groups", "length", "tiles", "places"),
    [(331, 512, 255, 256), (100, 512, 411, 100), (331, 64, 31, 32), (4, 3, 1, 1)],
)
def test_gene_groups_get_at_most_half_of_the_sequence(
    groups: int, length: int, tiles: int, places: int
) -> None:
    shapes = shapes_of(24, (2,) * groups, None, 4)
    model = in_stage(small(shapes, sequence_length=length), "multimodal").eval()
    assert (model.slides.slots, model.omics.slots) == (tiles, places)
    with torch.no_grad():
        output = model(make_batch([500], shapes=shapes), attention=True)
    assert output.attention["groups"].shape == (1, groups)
    assert (output.attention["slides"] > 0).sum() == min(tiles, 500)
    assert (output.attention["groups"] > 0).sum() == places


@pytest.mark.parametrize("bins", [2, 3, 4, 6])
@pytest.mark.parametrize("stage", DisPro.stages)
def test_any_number_of_bins(stage: str, bins: int) -> None:
    model = in_stage(small(replace(SHAPES, n_bins=bins)), stage)
    batch = make_batch([9, 4, 6], absent=ABSENT)
    logits = model.eval()(batch).logits.detach()
    assert logits.shape == (3, bins)
    hazards, survival = logits.sigmoid(), survival_from_logits(logits)
    assert ((hazards > 0) & (hazards < 1)).all()
    assert (survival.diff(dim=1) < 0).all()
    targets = make_targets(3, bins)
    loss = total(model.train()(batch.with_targets(targets)), targets)
    assert torch.isfinite(loss)


def test_parameter_counts() -> None:
    widths, d, bins, dim = (94, 1, 5, 40), 256, 4, 1024
    with torch.device("meta"):
        model = DisPro(shapes_of(dim, widths, None, bins))
    parts = {name: count(part.parameters()) for name, part in model.named_children()}
    gate = 2 * (d * d + d) + d + 1

    def layer(hidden: int) -> int:
        return 4 * (d * d + d) + (2 * d * hidden + hidden + d) + 4 * d

    assert parts == {
        "texts": 2 * 2 * bins * d,
        "fusion": 2 * layer(4 * d),
        "slides": (dim + 1) * d + gate + (511 - 4) * d,
        "omics": (sum(widths) + 4) * d  # a group's own layer
        + (d * d + d)  # shared by all groups
        + 2 * layer(512)
        + (d * d + d + 2 * d)  # projection and its norm
        + gate
        + 4 * d,
        "head": (d + 1) * 512 + 513 * bins,
    }
    assert count(model.parameters()) == sum(parts.values()) + d + 2


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"width": 36}, "multiple of 8"),
        ({"width": 40, "heads": 3}, "multiple of 3"),
        ({"sequence_length": 2}, "at least 3"),
        ({"modality_dropout": 1.5}, "at most 1"),
        ({"context_length": 16}, "context_length would do nothing"),
        ({"text_encoder": "no/such/place"}, "no directory"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict, problem: str) -> None:
    with pytest.raises(UserInputError, match=problem):
        build("dispro", SHAPES, options)


def test_one_log_hazard_ratio_is_refused() -> None:
    with pytest.raises(ValueError, match=r"needs time bins; set training.loss to nll"):
        DisPro(replace(SHAPES, n_bins=1))


def test_more_bins_than_the_width_has_directions_are_refused() -> None:
    with pytest.raises(ValueError, match="width must be at least 10"):
        DisPro(replace(SHAPES, n_bins=8), width=8)


def test_label_names_the_form() -> None:
    assert label({}) == label({"text_encoder": "prototypes"}) == MODELS["dispro"].label
    assert label({"width": 64}) == "DisPro-prototype"
    assert label({"text_encoder": "/models/biobert"}) == "DisPro"


# --- similarity, pooling, hazards


def test_top_mean_by_hand() -> None:
    values = torch.tensor([[3.0], [1.0], [2.0]])[None]
    real = torch.ones(1, 3, dtype=torch.bool)
    assert top_mean(values, real, 2).item() == 2.5
    assert top_mean(values, real, 9).item() == 2.0
    assert top_mean(values, torch.tensor([[False, True, True]]), 9).item() == 1.5
    assert top_mean(values, torch.tensor([[False, True, True]]), 1).item() == 2.0
    assert top_mean(values, ~real, 2).item() == 0.0


def test_similarity_is_a_cosine_times_the_length_of_the_anchor() -> None:
    tokens = torch.tensor([[[3.0, 4.0], [0.0, 0.0]]])
    anchors = torch.tensor([[10.0, 0.0], [0.0, 5.0]])
    torch.testing.assert_close(
        similarity(tokens, anchors), torch.tensor([[[6.0, 4.0], [0.0, 0.0]]])
    )
    both = evidence(tokens, torch.stack([anchors, -anchors]))
    torch.testing.assert_close(both, torch.ones(1, 2, 2))


def test_label_free_hazards_are_mixed_by_the_frequencies_of_fates() -> None:
    torch.manual_seed(0)
    by_status, marginal = torch.randn(5, 2, 4), torch.randn(4)
    share = torch.tensor([0.3, 0.7])
    hazards = (share[:, None] * (by_status + marginal).sigmoid()).sum(dim=1)
    found = status_free(by_status, share.log(), marginal)
    torch.testing.assert_close((found + marginal).sigmoid(), hazards)
    only_events = status_free(by_status, torch.tensor([1.0, 0.0]).log(), marginal)
    torch.testing.assert_close(only_events, by_status[:, 0])


def test_label_free_hazards_do_not_saturate() -> None:
    by_status = torch.tensor([[[90.0], [80.0]], [[-90.0], [-80.0]]], requires_grad=True)
    found = status_free(by_status, torch.tensor([0.0, 1.0]).log(), torch.zeros(1))
    found.sum().backward()
    torch.testing.assert_close(found[:, 0].detach(), torch.tensor([80.0, -80.0]))
    assert torch.isfinite(by_status.grad).all()
    assert by_status.grad.abs().sum() > 1


NLL = {  # bin: with an event, censored; hazards 0.1, 0.2, 0.3, 0.4
    0: (2.302585, 0.105361),
    1: (1.714798, 0.328504),
    2: (1.532477, 0.685179),
    3: (1.601470, 1.196005),
}


@pytest.mark.parametrize("own", NLL)
def test_loss_of_a_fate_by_hand(own: int) -> None:
    """A patient with an event is measured by the first row, a censored one by the second."""
    right, wrong = torch.tensor([0.1, 0.2, 0.3, 0.4]).logit(), torch.full((4,), 7.0)
    targets = SurvivalTargets(
        torch.zeros(3),
        torch.tensor([True, False, True]),
        torch.tensor([own, own, own]),
        torch.ones(3),
        torch.zeros(4),
    )
    by_status = torch.stack(
        [torch.stack([right, wrong]), torch.stack([wrong, right]), torch.stack([wrong, wrong])]
    )
    mask = torch.tensor([True, True, False])
    assert status_loss(by_status, mask, targets).item() == pytest.approx(
        sum(NLL[own]) / 3, abs=1e-5
    )


def test_prototypes_start_as_an_ordinal_code() -> None:
    torch.manual_seed(0)
    vectors = Prototypes(32, 4).vectors.detach()
    assert vectors[0].equal(vectors[1])
    code = vectors[0]
    steps = code.diff(dim=1)
    torch.testing.assert_close(steps[0], steps[1])
    torch.testing.assert_close(steps[0] @ steps[0].T, torch.eye(3), atol=1e-6, rtol=0)
    # <u_c + v_0 + .. + v_j, u_c + v_0 + .. + v_k> = 1 + min(j, k) + 1
    gram = 2.0 + torch.minimum(torch.arange(4)[:, None], torch.arange(4))
    torch.testing.assert_close(code[0] @ code[0].T, gram, atol=1e-5, rtol=0)
    torch.testing.assert_close(code[0] @ code[1].T, gram - 1.0, atol=1e-5, rtol=0)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_layer_is_that_of_torch(activation: str) -> None:
    torch.manual_seed(0)
    function = getattr(torch.nn.functional, activation)
    ours = EncoderLayer(32, 4, 50, function, eps=1e-9)
    theirs = nn.TransformerEncoderLayer(
        32, 4, 50, activation=activation, layer_norm_eps=1e-9, batch_first=True, dropout=0.0
    )
    pairs = {
        theirs.self_attn.in_proj_weight: ours.qkv.weight,
        theirs.self_attn.in_proj_bias: ours.qkv.bias,
        theirs.self_attn.out_proj.weight: ours.out.weight,
        theirs.self_attn.out_proj.bias: ours.out.bias,
        theirs.linear1.weight: ours.up.weight,
        theirs.linear1.bias: ours.up.bias,
        theirs.linear2.weight: ours.down.weight,
        theirs.linear2.bias: ours.down.bias,
        theirs.norm1.weight: ours.norm.weight,
        theirs.norm1.bias: ours.norm.bias,
        theirs.norm2.weight: ours.last_norm.weight,
        theirs.norm2.bias: ours.last_norm.bias,
    }
    with torch.no_grad():
        for copy, original in pairs.items():
            original.normal_()
            copy.copy_(original)
    x, mask = torch.randn(3, 7, 32), torch.ones(3, 7, dtype=torch.bool)
    mask[1, 3:] = False
    expected = theirs(x, src_key_padding_mask=~mask)
    torch.testing.assert_close(ours(x, mask)[mask], expected[mask], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours(x, mask, rows=2), ours(x, mask)[:, :2], atol=1e-5, rtol=1e-5)
    other = torch.where(mask[:, :, None], x, 5.0 * torch.randn(3, 7, 32))
    assert ours(other, mask)[mask].equal(ours(x, mask)[mask])


# --- ranking


def shuffled(batch: Batch) -> tuple[Batch, Tensor]:
    order = torch.randperm(
        batch.mask["slides"].shape[1], generator=torch.Generator().manual_seed(1)
    )
    tokens = {**batch.tokens, "slides": batch.tokens["slides"][:, order]}
    mask = {**batch.mask, "slides": batch.mask["slides"][:, order]}
    return replace(batch, tokens=tokens, mask=mask), order


@pytest.mark.parametrize("size", [1, 3, 19, 20, 300, 2000])
def test_order_of_tiles_is_irrelevant_to_the_bit(size: int) -> None:
    model = in_stage(small(), "multimodal").eval()
    with torch.no_grad():
        model.slides.placeholders.normal_()  # as far apart as training could ever bring them
        batch = make_batch([size])
        moved, order = shuffled(batch)
        before, after = model(batch, attention=True), model(moved, attention=True)
    assert after.logits.equal(before.logits)
    assert after.attention["slides"].equal(before.attention["slides"][:, order])
    assert after.embeddings["slides"].equal(before.embeddings["slides"])


def test_ranks_do_not_depend_on_rounding() -> None:
    """Tiles in pairs that differ by less than single precision can tell in a score.

    The last place lies inside a pair; the layout of the batch changes the rounding.
    """
    shapes = shapes_of(300, WIDTHS, CLINICAL_DIM, 4)
    model = in_stage(small(shapes, sequence_length=64), "multimodal").eval()
    assert model.slides.slots % 2 == 1
    tiles = make_batch([150, 150, 150], shapes=shapes).tokens["slides"]
    tiles = torch.cat([tiles, tiles * (1.0 + 1e-7), tiles[:, :1] - 9.0], dim=1)
    every = torch.ones(3, 301, dtype=torch.bool)
    together = model.slides.rank(tiles, every, model.anchors)
    precise = copy.deepcopy(model).double()
    assert precise.slides.rank(tiles.double(), every, precise.anchors).equal(together)
    order = torch.randperm(301, generator=torch.Generator().manual_seed(1))
    for row in range(3):
        alone = model.slides.rank(tiles[row : row + 1], every[:1], model.anchors)
        assert alone[0].equal(together[row])
        moved = model.slides.rank(tiles[row : row + 1, order], every[:1], model.anchors)
        assert order[moved[0]].equal(together[row])


def test_predictions_rank_gene_groups_in_double_precision() -> None:
    model = in_stage(small(), "multimodal").eval()
    precise = copy.deepcopy(model).double()
    genes = make_batch([1] * 5).values("omics")[:, 0]
    tokens, order = model.omics.ranked(genes, model.anchors)
    expected, by_rank = precise.omics.ranked(genes.double(), precise.anchors)
    assert tokens.equal(expected.float())
    assert order.equal(by_rank)
    assert not model.omics.adapter(genes).equal(precise.omics.adapter(genes.double()).float())


def test_ranking_follows_the_score_and_puts_what_is_not_real_last() -> None:
    model = in_stage(small(), "multimodal").eval()
    batch = make_batch([30, 4])
    tiles, real = batch.values("slides"), batch.real("slides")
    with torch.no_grad():
        tokens = model.slides.adapter(tiles)
        scores, wanted = model.slides.scored(tokens, real, model.anchors)
        speaks = evidence(tokens, model.anchors)
        own = model.slides.gate(tokens)
        ranks = model.slides.rank(tiles, real, model.anchors)
    pooled = top_mean(speaks, real)
    assert wanted.equal(pooled.argmax(dim=1))
    for row in range(2):
        expected = own[row] + speaks[row, :, wanted[row]]
        torch.testing.assert_close(scores[row][real[row]], expected[real[row]])
    assert set(ranks[1, :4].tolist()) == {0, 1, 2, 3}
    in_order = scores.gather(1, ranks)
    assert (in_order[0].diff() <= 0).all()
    assert scores[0].topk(model.slides.slots).values.equal(in_order[0])


def test_weighing_changes_no_token_but_lets_the_score_learn() -> None:
    branch = TileBranch(24, 32, 5, 0.25).train()
    tokens = torch.randn(2, 5, 32)
    weighted = branch.weighted(tokens)
    assert weighted.equal(tokens)
    weighted.sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in branch.gate.parameters())


def test_slot_averages_tokens_with_placeholders_or_is_them() -> None:
    branch = Branch(nn.Identity(), nn.Identity(), 8, 4, 0.0)
    tokens, real = torch.randn(2, 2, 8), torch.tensor([[True, False], [False, False]])
    slot, mask = branch.with_placeholders(tokens, real, torch.tensor([True, False]))
    assert mask.tolist() == [[True, False, False, False], [True] * 4]
    torch.testing.assert_close(slot[0, :2], (tokens[0] + branch.placeholders[:2]) / 2)
    assert slot[1].equal(branch.placeholders)
    slot, mask = branch.with_placeholders(tokens, real, torch.tensor([True, True]))
    assert slot.shape[1] == mask.shape[1] == 2


# --- what is present, what is known


def test_genes_that_are_all_zero_are_not_missing_genes() -> None:
    model = in_stage(small(), "multimodal").eval()
    batch = make_batch([6, 6], absent=[(1, "omics")])
    zero = {**batch.tokens, "omics": torch.zeros_like(batch.tokens["omics"])}
    same = {name: value[:1].expand_as(value) for name, value in zero.items()}
    logits = model(replace(batch, tokens=same)).logits
    assert (logits[0] - logits[1]).abs().max() > 1e-3


@pytest.mark.parametrize("stage", DisPro.stages)
def test_neither_stage_predicts_from_the_outcome(stage: str) -> None:
    model = in_stage(small(), stage)
    batch = training_batch([9, 4, 6, 7], absent=ABSENT)
    step(model, batch)
    state = copied(model.eval())
    without = model(replace(batch, targets=None)).logits
    for targets in (batch.targets, replace(batch.targets, event=~batch.targets.event)):
        assert model(batch.with_targets(targets)).logits.equal(without)
        assert model(batch.with_targets(targets)).losses == {}
    assert not changed(state, model)


@pytest.mark.parametrize("stage", DisPro.stages)
def test_training_does_not_read_what_is_absent(stage: str) -> None:
    found = []
    for garbage in (float("nan"), 3.0):
        model = in_stage(small(), stage).train()
        batch = training_batch([9, 4, 6, 7], absent=[*ABSENT, (3, "slides"), (3, "omics")])
        tokens = {
            name: torch.where(batch.real(name)[:, :, None], value, garbage)
            for name, value in batch.tokens.items()
        }
        torch.manual_seed(0)
        output = model(replace(batch, tokens=tokens))
        total(output, batch.targets).backward()
        gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
        found.append({"logits": output.logits, **output.losses, **gradients})
    assert found[0].keys() == found[1].keys()
    assert all(value.equal(found[1][name]) for name, value in found[0].items())


@pytest.mark.parametrize("absent", ["slides", "omics"])
@pytest.mark.parametrize("stage", DisPro.stages)
def test_a_modality_that_no_patient_has_does_not_stop_training(stage: str, absent: str) -> None:
    model = in_stage(small(), stage)
    batch = training_batch([9, 4, 6], absent=[(row, absent) for row in range(3)])
    before = copied(model)
    step(model, batch)
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    assert f"{'omics' if absent == 'slides' else 'slides'}.adapter" in str(changed(before, model))


@pytest.mark.parametrize("stage", DisPro.stages)
def test_training_in_half_precision_stays_finite(stage: str) -> None:
    model = in_stage(small(), stage).train()
    batch = training_batch([9, 4, 6, 30], absent=ABSENT)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(batch)
    loss = total(replace(output, logits=output.logits.float()), batch.targets)
    loss.backward()
    assert torch.isfinite(loss)
    trained = [parameter for parameter in model.parameters() if parameter.grad is not None]
    assert all(torch.isfinite(parameter.grad).all() for parameter in trained)


# --- first stage


def test_first_stage_learns_classes_of_the_fate_and_predicts_without_it() -> None:
    model = in_stage(small(dropout=0.0), "unimodal").train()
    batch = training_batch([9, 4, 6, 5], absent=[(1, "slides"), (2, "omics")])
    targets = batch.targets
    output = model(batch)
    anchors = model.current_anchors()
    close = {
        "slides": model.slides.by_class(batch.values("slides"), batch.real("slides"), anchors[0]),
        "omics": model.omics.by_class(batch.values("omics")[:, 0], anchors[1]),
    }
    free = {}
    for modality, similar in close.items():
        by_status = similar.view(4, 2, 4)
        own = torch.stack([by_status[row, 0 if targets.event[row] else 1] for row in range(4)])
        expected = (targets.nll(own) * batch.has(modality)).sum() / 4
        torch.testing.assert_close(output.losses[modality], expected)
        free[modality] = status_free(by_status, torch.tensor([0.5, 0.5]).log(), torch.zeros(4))
    both = (free["slides"] + free["omics"]) / 2
    expected = torch.stack([both[0], free["omics"][1], free["slides"][2], both[3]])
    torch.testing.assert_close(output.logits, expected)


def test_frequencies_of_fates_are_counted_in_training_only() -> None:
    model = in_stage(small(), "unimodal").train()
    assert model.status_frequencies().tolist() == [0.5, 0.5]
    batch = training_batch([4] * 7)
    model(batch)
    model(batch)
    assert model.counts.tolist() == [10, 4]
    assert model.status_frequencies().tolist() == pytest.approx([5 / 7, 2 / 7])
    assert model.marginal.equal(batch.targets.marginal)
    model.eval()(batch)
    in_stage(model, "multimodal").train()(batch)
    assert model.counts.tolist() == [10, 4]
    other = small()
    other.load_state_dict(model.state_dict())
    assert other.status_frequencies().equal(model.status_frequencies())


def test_with_events_only_the_prediction_is_that_of_the_event() -> None:
    model = in_stage(small(), "unimodal").eval()
    model.counts.copy_(torch.tensor([5, 0]))
    model.marginal.copy_(torch.linspace(-2, -1, 4))
    batch = make_batch([9, 4])
    by_class = model.omics.by_class(batch.values("omics")[:, 0], model.current_anchors()[1])
    only = replace(batch, available=batch.available & torch.tensor([False, True, True]))
    torch.testing.assert_close(model(only).logits, by_class[:, :4])


def test_patients_without_anything_are_average_in_the_first_stage() -> None:
    model = in_stage(small(), "unimodal").eval()
    batch = make_batch([4, 5], absent=[(0, "slides"), (0, "omics")])
    assert not model(batch).logits[0].any()
    assert model(batch).logits[1].any()


FIRST_ONLY = ("texts.", "log_temperature", "slides.project", "omics.project")
ADAPTERS = ("slides.adapter", "omics.adapter")


def test_each_stage_trains_its_own_part() -> None:
    model = small()
    batch = training_batch([9, 4, 6, 7], absent=ABSENT)
    before = copied(in_stage(model, "unimodal"))
    step(model, batch)
    names = {name for name, _ in model.named_parameters()}
    moved = changed(before, model)
    assert moved & names == {name for name in names if name.startswith((*FIRST_ONLY, *ADAPTERS))}
    assert moved - names == {"counts", "marginal"}

    before = copied(model)
    in_stage(model, "multimodal")
    assert changed(before, model) == {"anchors", "multimodal"}  # the adapters go on as they are
    assert model.anchors.equal(model.current_anchors())
    before = copied(model)
    step(model, batch)
    assert changed(before, model) == {name for name in names if not name.startswith(FIRST_ONLY)}
    assert model.anchors.equal(model.current_anchors())


# --- second stage


def test_a_step_on_a_patient_without_slides() -> None:
    model = in_stage(small(), "multimodal")
    batch = training_batch([3], absent=[(0, "slides")])
    before = copied(model)
    step(model, batch)
    moved = changed(before, model)
    assert {
        "slides.placeholders",
        "omics.placeholders",
        "cls",
        "head.0.weight",
        "head.2.bias",
    } <= moved
    assert {name for name in moved if name.startswith("omics.gate")}
    assert not {name for name in moved if name.startswith(("slides.adapter", "slides.gate"))}
    assert not {name for name in moved if name.startswith(FIRST_ONLY)}


def test_distillation_is_there_exactly_for_what_is_missing() -> None:
    model = in_stage(small(modality_dropout=0.0), "multimodal").train()
    batch = training_batch([9, 4, 6, 5], absent=ABSENT)
    both, no_slides, no_omics = (
        set(model(replace(batch_of(batch, rows))).losses) for rows in ([0, 3], [0, 1], [2, 3])
    )
    assert both == set()
    assert no_slides == {"slides_distillation"}
    assert no_omics == {"omics_distillation"}
    assert set(model(batch).losses) == {"slides_distillation", "omics_distillation"}
    assert model(replace(batch, targets=None)).losses == {}


def batch_of(batch: Batch, rows: list[int]) -> Batch:
    """Some patients with their outcomes."""
    targets = SurvivalTargets(
        *(
            getattr(batch.targets, name)[rows]
            for name in ("time_months", "event", "bins", "exposure")
        ),
        batch.targets.marginal,
    )
    return rows_of(batch, rows).with_targets(targets)


def test_distillation_is_the_loss_of_the_patient_s_class_in_the_slot() -> None:
    model = in_stage(small(distillation_weight=0.5), "multimodal")
    targets, filled = make_targets(3), torch.randn(3, 4, 32)
    lacking = torch.tensor([True, False, True])  # with an event, and censored
    found = model.distillation("omics", filled, lacking, targets)
    projected = model.omics.project(filled)
    cosines = torch.einsum(
        "bnd,cd->bnc",
        projected / projected.norm(dim=2, keepdim=True),
        nn.functional.normalize(model.texts.vectors[1].flatten(0, 1), dim=1),
    )
    by_status = (cosines / 0.07).mean(dim=1).view(3, 2, 4)
    losses = targets.nll(torch.stack([by_status[0, 0], by_status[1, 0], by_status[2, 1]]))
    torch.testing.assert_close(found, 0.5 * (losses[0] + losses[2]) / 3)


def test_distillation_does_not_depend_on_the_size_of_the_batch() -> None:
    model = in_stage(small(modality_dropout=0.0, dropout=0.0), "multimodal").train()
    for layer in model.fusion:
        layer.dropout.p = 0.0
    batch = training_batch([9, 4, 6, 5], absent=ABSENT)
    alone = [model(batch_of(batch, [row])).losses for row in range(4)]
    for name, value in model(batch).losses.items():
        parts = [losses.get(name, torch.tensor(0.0)) for losses in alone]
        torch.testing.assert_close(value, torch.stack(parts).mean())


def test_training_masks_a_modality_but_never_the_only_one() -> None:
    model = small(modality_dropout=0.5)
    slides = torch.tensor([True, True, False, False]).repeat(1000)
    omics = torch.tensor([True, False, True, False]).repeat(1000)
    torch.manual_seed(0)
    left = model.masked({"slides": slides, "omics": omics})
    both = slides & omics
    assert left["slides"][~both].equal(slides[~both])
    assert left["omics"][~both].equal(omics[~both])
    lost = (~left["slides"][both]).float().mean(), (~left["omics"][both]).float().mean()
    assert lost == pytest.approx((0.25, 0.25), abs=0.05)
    assert (left["slides"] | left["omics"])[both].all()


def test_what_training_hides_is_not_read() -> None:
    """A hidden modality leaves the same trace as an absent one."""
    model = in_stage(small(modality_dropout=1.0, dropout=0.0), "multimodal").train()
    for layer in model.fusion:
        layer.dropout.p = 0.0
    complete = training_batch([9] * 6)
    torch.manual_seed(0)
    found = model(complete)
    torch.manual_seed(0)
    has = model.masked({name: complete.has(name) for name in ("slides", "omics")})
    gone = [(row, name) for name, there in has.items() for row in range(6) if not there[row]]
    assert len(gone) == 6
    model.modality_dropout = 0.0
    lacking = model(training_batch([9] * 6, absent=gone))
    torch.testing.assert_close(found.logits, lacking.logits)
    assert found.losses.keys() == lacking.losses.keys()


def test_survival_loss_reaches_every_parameter_of_the_second_stage() -> None:
    model = in_stage(small(), "multimodal").eval()
    batch = make_batch([9, 4, 6], absent=ABSENT)
    make_targets(3).loss(model(batch).logits).backward()
    reached = {
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and parameter.grad.any()
    }
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert reached == trained


def test_attention_is_the_class_token_s_in_the_last_layer() -> None:
    model = in_stage(small(layers=1), "multimodal").eval()
    batch = make_batch([5], absent=[(0, "omics")])
    layer, slides = model.fusion[0], model.slides
    with torch.no_grad():
        shares = model(batch, attention=True).attention
        tokens, order = slides.ranked(batch.values("slides"), batch.real("slides"), model.anchors)
        x = torch.cat([model.cls[None], (tokens[0] + slides.placeholders[:5]) / 2])
        q, k, _ = layer.qkv(x).view(6, 3, 4, 8).permute(1, 2, 0, 3)
        expected = (q[:, :1] @ k[:, 1:].transpose(1, 2) * 8**-0.5).softmax(dim=2).mean(dim=(0, 1))
    torch.testing.assert_close(shares["slides"][0, order[0]], expected)
    assert not shares["groups"].any()
    assert shares["groups"].shape == (1, len(WIDTHS))


def test_the_same_seed_gives_the_same_weights() -> None:
    batch, states = training_batch([9, 4, 6, 7], absent=ABSENT), []
    for _ in range(2):
        model = small()
        for stage in model.stages:
            model.begin(stage)
            for number in range(3):
                step(model, batch, number)
        states.append(copied(model))
    assert all(value.equal(states[1][name]) for name, value in states[0].items())


# --- known truth


def planted(count: int, permute: bool) -> tuple[Batch, SurvivalTargets]:
    """A risk that shows in a cluster of 3 of 12 tiles and in one of four gene groups."""
    generator = torch.Generator().manual_seed(count)
    risk = torch.randn(count, generator=generator)
    batch = make_batch([12] * count, seed=1)
    batch.tokens["slides"][:, :3, 0] += 3.0 * risk[:, None]
    batch.tokens["omics"][:, 0, 4:11] += risk[:, None]
    time = torch.empty(count).exponential_(generator=generator) * 12.0 * (-2.0 * risk).exp()
    end = 60.0 * torch.rand(count, generator=generator)
    event, months = time <= end, torch.minimum(time, end)
    if permute:
        order = torch.randperm(count, generator=generator)
        event, months = event[order], months[order]
    edges = torch.tensor([0.0, 4.0, 10.0, 24.0, 60.0])
    bins = torch.bucketize(months, edges[1:-1], right=True)
    exposure = (months - edges[bins]) / edges.diff()[bins]
    happened = torch.stack([(event & (bins == k)).sum() for k in range(4)])
    at_risk = torch.stack([(bins > k).sum() + (bins == k).sum() / 2 for k in range(4)])
    return batch, SurvivalTargets(months, event, bins, exposure, (happened / at_risk).logit())


def concordance(
    model: DisPro, batch: Batch, targets: SurvivalTargets, available: list[bool]
) -> float:
    has = batch.available & torch.tensor([*available, True])
    with torch.no_grad():
        logits = model.eval()(replace(batch, available=has)).logits
    risk = risk_from_logits(logits + targets.marginal).numpy()
    months, event = targets.time_months.numpy(), targets.event.numpy()
    return concordance_index_censored(event, months, risk)[0]


@pytest.mark.parametrize("permute", [False, True])
def test_it_finds_what_is_there_and_nothing_else(permute: bool) -> None:
    batch, targets = planted(160, permute)
    batch.available[:40, 0] = False
    batch.available[40:80, 1] = False
    torch.manual_seed(0)
    model = DisPro(SHAPES, width=32, sequence_length=17, dropout=0.1)
    for stage, steps in zip(model.stages, (30, 20), strict=True):
        model.begin(stage)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=3e-3)
        for _ in range(steps):
            loss = total(model.train()(batch.with_targets(targets)), targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    others = planted(400, permute)
    both = concordance(model, *others, [True, True])
    slides = concordance(model, *others, [True, False])
    omics = concordance(model, *others, [False, True])
    if permute:
        assert [both, slides, omics] == pytest.approx([0.5] * 3, abs=0.05)
    else:
        assert slides > 0.7
        assert omics > 0.7
        assert both >= max(slides, omics) - 0.02
