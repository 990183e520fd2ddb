"""A frozen language model of the BERT family, read from a local directory.

The directory is as published: config.json, vocab.txt, optionally tokenizer_config.json, and the
weights in model.safetensors or pytorch_model.bin. Nothing is ever downloaded.
"""

from __future__ import annotations

import json
import pickle  # for the name of its error alone; weights are read with weights_only=True
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import BertWordPieceTokenizer
from tokenizers.models import WordPiece
from torch import Tensor, nn
from torch.nn.functional import embedding, gelu, layer_norm

from survfuse.models.networks.layers.encoder_layer import EncoderLayer, frozen

CHECKSUM = "text_encoder_checksum"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
REMEDY = (
    "name a directory with config.json, vocab.txt and model.safetensors or pytorch_model.bin, or "
    "leave text_encoder at 'prototypes'"
)
# Of one layer: ours, and the published tensors stacked into it.
PARTS = {
    "qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "out": ("attention.output.dense",),
    "norm": ("attention.output.LayerNorm",),
    "up": ("intermediate.dense",),
    "down": ("output.dense",),
    "last_norm": ("output.LayerNorm",),
}


@dataclass(frozen=True)
class Bert:
    """layers: the encoder, frozen (see `frozen`). width: hidden size. longest: most tokens it can
    read. checksum: of all weights."""

    layers: nn.ModuleList
    width: int
    longest: int
    checksum: int
    tokenizer: BertWordPieceTokenizer
    tables: dict[str, Tensor]  # the embedding block
    eps: float

    def embed(
        self, texts: Sequence[str], limit: int, pad_to: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Token embeddings (n, T, width) as they enter the first layer, and their mask (n, T).

        [CLS] comes first and [SEP] last; a text of more than `limit` tokens is cut. T is that of
        the longest text, so that no token is padding in all of them, or `pad_to`.
        """
        self.tokenizer.enable_truncation(min(limit, self.longest))
        self.tokenizer.enable_padding(
            pad_id=self.tokenizer.token_to_id("[PAD]"), pad_token="[PAD]", length=pad_to
        )
        encoded = self.tokenizer.encode_batch(list(texts))
        words = torch.tensor([text.ids for text in encoded])
        mask = torch.tensor([text.attention_mask for text in encoded], dtype=torch.bool)
        tables = self.tables
        x = embedding(words, tables["word_embeddings.weight"])
        x = x + tables["position_embeddings.weight"][: words.shape[1]]
        x = x + tables["token_type_embeddings.weight"][0]
        scale, shift = tables["LayerNorm.weight"], tables["LayerNorm.bias"]
        return layer_norm(x, (self.width,), scale, shift, self.eps), mask


def load_bert(directory: Path) -> Bert:
    """Read a language model.

    Raises ValueError, with a remedy, where the directory or one of its files is missing or
    unreadable, or holds another architecture than BERT's.
    """
    if not directory.is_dir():
        raise ValueError(f"text_encoder: there is no directory {directory}; {REMEDY}")
    config = read_json(required(directory, "config.json"))
    for key, only in {
        "model_type": "bert",
        "hidden_act": "gelu",
        "position_embedding_type": "absolute",
    }.items():
        if config.get(key, only) != only:
            raise ValueError(
                f"text_encoder: {directory / 'config.json'} says {key} is {config[key]!r}, and "
                f"only {only!r} can be read; {REMEDY}"
            )
    tensors = read_weights(directory)
    try:
        width, eps = int(config["hidden_size"]), float(config.get("layer_norm_eps", 1e-12))
        with torch.device("meta"):
            layers = nn.ModuleList(
                EncoderLayer(
                    width,
                    int(config["num_attention_heads"]),
                    int(config["intermediate_size"]),
                    gelu,
                    eps=eps,
                )
                for _ in range(int(config["num_hidden_layers"]))
            )
        for index, layer in enumerate(layers):
            layer.load_state_dict(layer_state(tensors, f"encoder.layer.{index}."), assign=True)
        tables = {
            name: tensors[f"embeddings.{name}"]
            for name in (
                "word_embeddings.weight",
                "position_embeddings.weight",
                "token_type_embeddings.weight",
                "LayerNorm.weight",
                "LayerNorm.bias",
            )
        }
    except KeyError as error:
        raise ValueError(f"text_encoder: {directory} lacks {error}; {REMEDY}") from None
    except RuntimeError as error:
        raise ValueError(
            f"text_encoder: the weights in {directory} do not fit its config.json: {error}"
        ) from None
    checksum = checksum_of([*layers.state_dict().values(), *tables.values()])
    longest = len(tables["position_embeddings.weight"])
    tokenizer = read_tokenizer(directory)
    return Bert(frozen(layers), width, longest, checksum, tokenizer, tables, eps)


def layer_state(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The state of one `EncoderLayer` from published tensors."""
    return {
        f"{part}.{kind}": torch.cat([tensors[f"{prefix}{name}.{kind}"] for name in names])
        for part, names in PARTS.items()
        for kind in ("weight", "bias")
    }


def read_weights(directory: Path) -> dict[str, Tensor]:
    """All tensors in single precision by name, without the prefix that task heads put in front."""
    path = next((directory / name for name in WEIGHTS if (directory / name).is_file()), None)
    if path is None:
        raise ValueError(f"text_encoder: {directory} has no {' or '.join(WEIGHTS)}; {REMEDY}")
    try:
        if path.suffix == ".safetensors":
            stored = load_file(path)
        else:
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise ValueError(f"text_encoder: {path} cannot be read ({error}); {REMEDY}") from None
    return {modern_name(name): tensor.float() for name, tensor in stored.items()}


def modern_name(name: str) -> str:
    """Checkpoints of 2019 call the parameters of a norm gamma and beta."""
    name = name.removeprefix("bert.")
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
        "LayerNorm.beta", "LayerNorm.bias"
    )


def read_tokenizer(directory: Path) -> BertWordPieceTokenizer:
    """WordPiece over vocab.txt; capitals are kept only where tokenizer_config.json says so."""
    path = required(directory, "vocab.txt")
    vocabulary = WordPiece.read_file(str(path))
    if lacking := {"[PAD]", "[UNK]", "[CLS]", "[SEP]"} - vocabulary.keys():
        raise ValueError(f"text_encoder: {path} lacks {', '.join(sorted(lacking))}; {REMEDY}")
    settings = directory / "tokenizer_config.json"
    lowercase = bool(read_json(settings).get("do_lower_case", True)) if settings.is_file() else True
    return BertWordPieceTokenizer(vocabulary, lowercase=lowercase)


def required(directory: Path, name: str) -> Path:
    if not (directory / name).is_file():
        raise ValueError(f"text_encoder: {directory} has no {name}; {REMEDY}")
    return directory / name


def read_json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"text_encoder: {path} cannot be read ({error}); {REMEDY}") from None
    return found


def checksum_of(tensors: Sequence[Tensor]) -> int:
    """CRC-32 of the bytes of all tensors in order."""
    checksum = 0
    for tensor in tensors:
        checksum = zlib.crc32(tensor.contiguous().numpy().data, checksum)
    return checksum


def require_same_weights(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Before a state dict is loaded into a module with a buffer CHECKSUM, that of its `Bert`.

    The language model is no part of the state dict. Raises ValueError if the state dict belongs to
    another one.
    """
    stored = state.get(f"{prefix}{CHECKSUM}")
    if stored is not None and int(stored) != int(module.get_buffer(CHECKSUM)):
        raise ValueError(
            "these weights were trained with another language model than the one that "
            "text_encoder names now; restore it, or train again"
        )
