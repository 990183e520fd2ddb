"""Reading files of weights, and filling a network with them.

Only named tensors are read: pickled objects are refused, and nothing in a file is run.
"""

from __future__ import annotations

import pickle  # for the name of its error alone; nothing is unpickled
import zipfile
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from survfuse.core.errors import UserInputError
from survfuse.modalities.slides.encoders.key_names import (
    Tensors,
    resized_positions,
    timm_names,
)
from survfuse.modalities.slides.encoders.recipe import Recipe

# Under which a training program keeps the tensors beside its own notes; the first one counts.
CONTAINERS = ("teacher", "model", "state_dict", "model_state_dict", "module")
POSITIONS = ("pos_embed", "trunk.pos_embed")
COUNTER = "num_batches_tracked"  # of batch normalisation, which only training needs
SHOWN = 3


def read_tensors(path: Path) -> Tensors:
    """The named tensors of a file, mapped where the file allows it.

    Raises UserInputError for any other file.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        zipped = zipfile.is_zipfile(path)
        if zipped and is_program(path):
            raise ValueError("it is a TorchScript program; see format: torchscript")
        stored = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
        tensors = {key: one for key, one in unpacked(stored).items() if isinstance(one, Tensor)}
    except pickle.UnpicklingError:  # whose own sentence advises to unpickle
        raise UserInputError(
            f"slides: the weights {path} are no plain named tensors: the file is damaged, or holds "
            "other objects, which are never unpickled"
        ) from None
    except MemoryError:
        raise
    except Exception as error:  # each file is broken in its own way
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserInputError(
            f"slides: the weights {path} are no plain named tensors of an encoder: {reason}"
        ) from None
    if not tensors:
        raise UserInputError(f"slides: the weights {path} hold no plain named tensors")
    return tensors


def is_program(path: Path) -> bool:
    """Whether a zip archive is TorchScript."""
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def unpacked(stored: Any) -> Mapping[str, Any]:
    """The mapping with the tensors, out of those around it. Raises TypeError if there is none."""
    if not isinstance(stored, Mapping):
        raise TypeError(f"there is a {type(stored).__name__} in it")
    for name in CONTAINERS:
        if isinstance(stored.get(name), Mapping):
            return unpacked(stored[name])
    return stored


def filled(make: Callable[[], nn.Module], recipe: Recipe, path: Path) -> nn.Module:
    """A new network with the weights of a file, in 32-bit floats.

    It takes memory only once its tensors are known to fit. Raises UserInputError where they do not.
    """
    empty = on_meta(make)
    fitting = {
        key: one.to(torch.float32 if one.is_floating_point() else one.dtype, copy=True)
        for key, one in fitting_tensors(empty, recipe, path).items()
    }
    empty.load_state_dict(fitting, strict=False, assign=True)
    if not any(one.is_meta for one in chain(empty.parameters(), empty.buffers())):
        return empty
    network = make()  # has tables of its own that no file holds
    network.load_state_dict(fitting, strict=False)
    return network


def on_meta(make: Callable[[], nn.Module]) -> nn.Module:
    """A network that knows the shapes of its tensors and takes no memory."""
    with torch.device("meta"):
        return make()


def fitting_tensors(network: nn.Module, recipe: Recipe, path: Path) -> Tensors:
    """The tensors of a file by the names of a network. Raises UserInputError if they do not fit."""
    wanted = network.state_dict()
    unused = unused_by(network)
    named = {
        key: one
        for key, one in timm_names(read_tensors(path), recipe.key_names, wanted).items()
        if key in wanted or not key.startswith(unused)
    }
    if recipe.position_offset is not None:
        for key in POSITIONS:
            if key in named and key in wanted and named[key].ndim == 3:
                length = wanted[key].shape[1]
                if named[key].shape[1] != length:
                    named[key] = resized_positions(named[key], length, recipe.position_offset)
    wrong = list(faults(named, wanted))
    if wrong:
        raise UserInputError(
            f"slides: the weights {path} do not fit {recipe.name}: {len(wrong)} tensors are "
            f"missing, left over or of another shape, among them {', '.join(wrong[:SHOWN])}"
        )
    return named


def faults(named: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Iterator[str]:
    """What is missing, of another shape, or left over."""
    for key, one in wanted.items():
        if key not in named:
            if not key.endswith(COUNTER):
                yield f"{key} (missing)"
        elif named[key].shape != one.shape:
            yield f"{key} ({shape_of(named[key])} instead of {shape_of(one)})"
    yield from (f"{key} (left over)" for key in named if key not in wanted)


def shape_of(tensor: Tensor) -> str:
    """A shape as text."""
    return " x ".join(map(str, tensor.shape)) or "one number"


def unused_by(network: Any) -> tuple[str, ...]:
    """Beginnings of the names of the classification layer of a model of timm."""
    names = getattr(network, "default_cfg", {}).get("classifier") or ()
    names = (names,) if isinstance(names, str) else names
    return tuple(f"{name}." for name in names)
