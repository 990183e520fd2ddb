"""DisPro with a language model from a local directory: BERT's own numbers, prompts, checkpoints."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fusion_batches import SHAPES, make_batch, make_targets, rows_of
from inputs_fixture import shapes_of
from survfuse.core.errors import UserInputError
from survfuse.models.networks.dispro.bert import load_bert
from survfuse.models.networks.dispro.model import DisPro
from survfuse.models.networks.dispro.prompts import TEMPLATES, Prompts, class_names
from survfuse.models.networks.interface import Batch, Shapes
from survfuse.models.networks.layers.encoder_layer import run_layers
from survfuse.models.networks.registry import build

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = (
    "This this is a path ##ology slide image from the patient with overall survival of dead alive "
    "high mid low risk short long observation : - . These these are gene expression pro ##files"
)
CONFIG = {
    "model_type": "bert",
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "max_position_embeddings": 48,
    "type_vocab_size": 2,
    "vocab_size": len(SPECIAL) + len(WORDS.split()),
}


def random_weights(config: dict = CONFIG, seed: int = 0) -> dict[str, Tensor]:
    """Tensors by their published names, of a size at which every one of them matters."""
    generator = torch.Generator().manual_seed(seed)
    width, inner = config["hidden_size"], config["intermediate_size"]
    shapes = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], width),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], width),
        "embeddings.token_type_embeddings.weight": (2, width),
    }
    norms = ["embeddings.LayerNorm"]
    for index in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{index}"
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
        for name, fan_in, fan_out in [
            ("attention.self.query", width, width),
            ("attention.self.key", width, width),
            ("attention.self.value", width, width),
            ("attention.output.dense", width, width),
            ("intermediate.dense", width, inner),
            ("output.dense", inner, width),
        ]:
            shapes[f"{layer}.{name}.weight"] = (fan_out, fan_in)
            shapes[f"{layer}.{name}.bias"] = (fan_out,)
    shapes |= {f"{norm}.{kind}": (width,) for norm in norms for kind in ("weight", "bias")}
    return {
        name: 0.2 * torch.randn(shape, generator=generator) + name.endswith("LayerNorm.weight")
        for name, shape in shapes.items()
    }


def write_model(
    directory: Path, weights: dict[str, Tensor] | None = None, config: dict = CONFIG
) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "vocab.txt").write_text("\n".join([*SPECIAL, *WORDS.split()]) + "\n")
    save_file(weights or random_weights(config), directory / "model.safetensors")
    return directory


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_model(tmp_path / "bert")


def small(directory: Path, shapes: Shapes = SHAPES, **options: float) -> DisPro:
    torch.manual_seed(0)
    settings = {"sequence_length": 24, "context_length": 12, **options}
    return DisPro(shapes, text_encoder=str(directory), **settings)


def training_batch() -> Batch:
    batch = make_batch([9, 4, 30, 7], absent=[(1, "slides"), (2, "omics")])
    return batch.with_targets(make_targets(4))


def step(model: DisPro, batch: Batch) -> None:
    torch.manual_seed(0)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.0)
    output = model.train()(batch)
    (batch.targets.loss(output.logits) + sum(output.losses.values())).backward()
    optimiser.step()
    model.zero_grad()


# --- the language model


@pytest.fixture
def transformers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Without torchvision, which BERT does not need and which must match the build of PyTorch."""
    monkeypatch.setitem(sys.modules, "torchvision", None)
    return pytest.importorskip("transformers")


@pytest.mark.parametrize("lowercase", [True, False])
def test_it_is_the_bert_of_transformers(
    directory: Path, transformers: ModuleType, lowercase: bool
) -> None:
    settings = {"do_lower_case": lowercase, "tokenizer_class": "BertTokenizer"}
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    theirs = transformers.BertModel(
        transformers.BertConfig(**CONFIG, attn_implementation="eager"), add_pooling_layer=False
    ).eval()
    theirs.load_state_dict(random_weights())
    texts = ["This is a pathology slide.", "These are high-risk gene expression profiles", "alive"]
    tokenizer = transformers.BertTokenizer.from_pretrained(directory)
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    capital = tokenizer.convert_tokens_to_ids("This")
    assert (inputs.input_ids[0, 1] == capital).item() is not lowercase
    bert = load_bert(directory)
    x, mask = bert.embed(texts, 256)
    assert mask.equal(inputs.attention_mask.bool())
    with torch.no_grad():
        expected = theirs(**inputs).last_hidden_state
        found = run_layers(bert.layers, x, mask)
        embedded = theirs.embeddings(inputs.input_ids)
    torch.testing.assert_close(x, embedded, atol=1e-5, rtol=0)
    torch.testing.assert_close(found[mask], expected[mask], atol=1e-5, rtol=0)


def test_older_weights_and_heads_are_read_alike(directory: Path) -> None:
    old = {
        f"bert.{name}".replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): value
        for name, value in random_weights().items()
    }
    old["cls.predictions.bias"] = torch.zeros(5)
    new = load_bert(directory)
    (directory / "model.safetensors").unlink()
    torch.save(old, directory / "pytorch_model.bin")
    found = load_bert(directory)
    assert found.checksum == new.checksum
    x, mask = found.embed(["alive"], 256)
    assert run_layers(found.layers, x, mask).equal(run_layers(new.layers, x, mask))


def test_half_precision_weights_are_read_as_single(directory: Path) -> None:
    save_file(
        {name: value.half() for name, value in random_weights().items()},
        directory / "model.safetensors",
    )
    assert {tensor.dtype for tensor in load_bert(directory).layers.buffers()} == {torch.float32}


def test_texts_are_cut_and_padded_to_the_longest(directory: Path) -> None:
    bert = load_bert(directory)
    _, mask = bert.embed(["alive alive alive", "dead"], 256)
    assert mask.tolist() == [[True] * 5, [True] * 3 + [False] * 2]
    assert bert.embed(["alive " * 100], 7)[0].shape == (1, 7, 32)
    assert bert.embed(["alive " * 100], 256)[0].shape == (1, 48, 32)
    assert bert.embed(["alive"], 10, pad_to=10)[0].shape == (1, 10, 32)


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ("config.json", "has no config.json"),
        ("vocab.txt", "has no vocab.txt"),
        ("model.safetensors", "has no model.safetensors or pytorch_model.bin"),
    ],
)
def test_a_missing_file_is_named_with_what_to_do(
    directory: Path, broken: str, problem: str
) -> None:
    (directory / broken).unlink()
    with pytest.raises(UserInputError, match=f"{problem}; name a directory with config.json"):
        build("dispro", SHAPES, {"text_encoder": str(directory)})


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("config.json", b"{", "cannot be read"),
        ("config.json", json.dumps({**CONFIG, "model_type": "roberta"}).encode(), "'roberta'"),
        ("config.json", json.dumps({**CONFIG, "hidden_act": "relu"}).encode(), "'relu'"),
        ("config.json", json.dumps({**CONFIG, "num_hidden_layers": 4}).encode(), "layer.3"),
        ("config.json", json.dumps({**CONFIG, "hidden_size": 16}).encode(), "do not fit"),
        ("config.json", b"{}", "hidden_size"),
        ("vocab.txt", b"[PAD]\n[UNK]\nalive\n", "lacks"),
        ("model.safetensors", b"nothing", "cannot be read"),
    ],
)
def test_an_unsuitable_file_is_named(
    directory: Path, name: str, content: bytes, problem: str
) -> None:
    (directory / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"text_encoder: .*{problem}"):
        load_bert(directory)


def test_unreadable_old_weights_are_named(directory: Path) -> None:
    (directory / "model.safetensors").unlink()
    (directory / "pytorch_model.bin").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"pytorch_model.bin cannot be read"):
        load_bert(directory)


# --- prompts


def test_class_names_are_the_published_ones_for_four_bins() -> None:
    assert class_names(4) == [
        "dead: high risk",
        "dead: mid-high risk",
        "dead: mid-low risk",
        "dead: low risk",
        "alive: short observation",
        "alive: mid-short observation",
        "alive: mid-long observation",
        "alive: long observation",
    ]
    assert class_names(3)[:3] == [f"dead: risk level {level} of 3" for level in (3, 2, 1)]
    assert class_names(3)[3:] == [f"alive: observation length {k} of 3" for k in (1, 2, 3)]
    assert len(set(class_names(6))) == 12


def test_a_prompt_is_its_text_with_the_context_behind_the_first_token(directory: Path) -> None:
    """Each class alone and without padding gives what all of them in one padded batch give."""
    torch.manual_seed(0)
    bert = load_bert(directory)
    prompts = Prompts(bert, 4, 12)
    nn.init.normal_(prompts.contexts)
    found = prompts(bert.layers)
    assert found.shape == (2, 2, 4, 32)
    lengths = set()
    for modality, template in enumerate(TEMPLATES):
        for index, name in enumerate(class_names(4)):
            text, mask = bert.embed([f"{template} {name}."], 256)
            assert mask.all()
            lengths.add(text.shape[1])
            context = prompts.contexts[modality, index % 4][None]
            x = torch.cat([text[:, :1], context, text[:, 1:]], dim=1)
            token = run_layers(bert.layers, x)[0, 0] @ prompts.projections[modality]
            torch.testing.assert_close(
                found[modality, index // 4, index % 4], token, atol=5e-6, rtol=0
            )
    assert len(lengths) > 2


def test_context_starts_as_the_sentence_without_a_class(directory: Path) -> None:
    bert = load_bert(directory)
    contexts = Prompts(bert, 3, 40).contexts.detach()
    assert contexts.shape == (2, 3, 40, 32)
    for modality, template in enumerate(TEMPLATES):
        sentence, real = bert.embed([template], 41, pad_to=41)
        assert not real.all()
        assert contexts[modality].equal(sentence[:, 1:].expand(3, -1, -1))


def test_context_longer_than_the_model_can_read_is_refused(directory: Path) -> None:
    with pytest.raises(ValueError, match="context_length must be below 48"):
        small(directory, context_length=48)


def test_sizes_of_the_prototype_form_are_refused(directory: Path) -> None:
    with pytest.raises(ValueError, match="width and heads would do nothing"):
        small(directory, width=64, heads=8)


def test_parameter_count_of_the_slides_is_the_published_one(tmp_path: Path) -> None:
    config = {
        **CONFIG,
        "hidden_size": 768,
        "num_hidden_layers": 1,
        "num_attention_heads": 12,
        "max_position_embeddings": 512,
    }
    write_model(tmp_path / "wide", config=config)
    model = small(tmp_path / "wide", shapes_of(1024, (3,), None, 4), context_length=256)
    model.begin("unimodal")
    texts = sum(parameter.numel() for parameter in model.texts.parameters())
    adapter = sum(parameter.numel() for parameter in model.slides.adapter.parameters())
    assert texts // 2 + adapter + 1 == 2_163_457
    assert not list(model.fusion.parameters())


# --- the model


@pytest.mark.parametrize("bins", [3, 4])
def test_each_stage_trains_its_own_part_and_never_the_language_model(
    directory: Path, bins: int
) -> None:
    model = small(directory, replace(SHAPES, n_bins=bins))
    batch = training_batch()
    batch = batch.with_targets(make_targets(4, bins))
    language = {name: value.clone() for name, value in model.fusion.named_buffers()}
    assert len(language) == 3 * 12
    frozen = {}
    for stage in model.stages:
        model.begin(stage)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        step(model, batch)
        after = model.state_dict()
        frozen[stage] = {name for name, value in after.items() if value.equal(before[name])}
    assert {"texts.contexts", "texts.projections"} <= frozen["multimodal"]
    assert not {"texts.contexts", "texts.projections"} & frozen["unimodal"]
    assert "slides.placeholders" in frozen["unimodal"] - frozen["multimodal"]
    assert all(value.equal(language[name]) for name, value in model.fusion.named_buffers())


def test_classes_are_encoded_once_for_the_second_stage(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small(directory)
    model.begin("multimodal")
    assert model.anchors.equal(model.current_anchors())
    torch.testing.assert_close(
        model.anchors.norm(dim=2), torch.full((2, 8), 1 / 0.07), atol=1e-4, rtol=0
    )
    monkeypatch.setattr(Prompts, "forward", None)
    assert torch.isfinite(model.train()(training_batch()).logits).all()


def test_distillation_reaches_placeholders_through_the_frozen_language_model(
    directory: Path,
) -> None:
    model = small(directory, modality_dropout=0.0)
    model.begin("multimodal")
    losses = model.train()(training_batch()).losses
    losses["slides_distillation"].backward()
    assert model.slides.placeholders.grad.abs().sum() > 0
    assert model.cls.grad.abs().sum() > 0
    assert not any(value.requires_grad for value in model.fusion.buffers())


def test_language_model_is_neither_stored_nor_counted(directory: Path) -> None:
    model = small(directory)
    for stage in model.stages:
        model.begin(stage)
    assert not [name for name in model.state_dict() if name.startswith("fusion")]
    assert not [name for name, _ in model.named_parameters() if name.startswith("fusion")]
    stored = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(1)
    other = DisPro(SHAPES, text_encoder=str(directory), sequence_length=24, context_length=12)
    for stage in other.stages:
        other.begin(stage)
    other.load_state_dict(stored)
    batch = make_batch([9, 4])
    assert other.eval()(batch).logits.equal(model.eval()(batch).logits)
    assert {value.dtype for value in other.double().fusion.buffers()} == {torch.float64}


def test_weights_beside_another_language_model_are_refused(directory: Path, tmp_path: Path) -> None:
    stored = small(directory).state_dict()
    other = write_model(tmp_path / "other", random_weights(seed=1))
    with pytest.raises(ValueError, match="trained with another language model"):
        small(other).load_state_dict(stored)


def test_predictions_hold_to_the_invariances(directory: Path) -> None:
    """Order of tiles, layout of the batch, what is absent, the outcome."""
    model = small(directory)
    model.begin("multimodal")
    model.eval()
    batch = training_batch()
    with torch.no_grad():
        logits = model(batch).logits
        assert model(replace(batch, targets=None)).logits.equal(logits)
        for row in range(4):
            alone = model(rows_of(batch, [row])).logits[0]
            torch.testing.assert_close(alone, logits[row], atol=1e-5, rtol=0)
        other = {
            name: torch.where(batch.real(name)[:, :, None], value, 7.0)
            for name, value in batch.tokens.items()
        }
        assert model(replace(batch, tokens=other)).logits.equal(logits)
        tokens = {**batch.tokens, "slides": batch.tokens["slides"].flip(1)}
        mask = {**batch.mask, "slides": batch.mask["slides"].flip(1)}
        assert model(replace(batch, tokens=tokens, mask=mask)).logits.equal(logits)
