"""Whole networks from a file: TorchScript, which is a program, and ONNX, which is a graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from survfuse.core.errors import MissingResourceError, UserInputError


def load_torchscript(path: Path, device: torch.device) -> nn.Module:
    """A TorchScript network, which the caller must be allowed to trust.

    Raises UserInputError for any other file.
    """
    try:
        return torch.jit.load(str(path), map_location=device).eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise not_a(path, "TorchScript file", error) from None


class OnnxNetwork(nn.Module):
    """An ONNX graph with one input, pixels (B, 3, H, W), of whose outputs the first is taken.

    Graphs that were exported for a single picture get them one by one.
    """

    def __init__(self, session: Any) -> None:
        super().__init__()
        self.session = session
        pixels = session.get_inputs()[0]
        self.input, self.singly = pixels.name, list(pixels.shape[:1]) == [1]

    def forward(self, pixels: Tensor) -> Tensor:
        """What the graph gives for normalised pixels."""
        parts = pixels.contiguous().cpu().split(1 if self.singly else len(pixels))
        found = [self.session.run(None, {self.input: part.numpy()})[0] for part in parts]
        return torch.from_numpy(np.concatenate(found)).to(pixels.device)


def load_onnx(path: Path, device: torch.device) -> nn.Module:
    """An ONNX network.

    Raises MissingResourceError without onnxruntime, UserInputError for any other file.
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingResourceError(
            "slides: an encoder of format onnx needs onnxruntime, which is not installed; install "
            "survfuse[onnx], or take the weights as .safetensors"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    known = onnxruntime.get_available_providers()
    wanted = ["CUDAExecutionProvider"] if device.type == "cuda" else []
    providers = [name for name in (*wanted, "CPUExecutionProvider") if name in known]
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        return OnnxNetwork(session)
    except Exception as error:  # its errors share no class but this one
        raise not_a(path, "ONNX file", error) from None


def not_a(path: Path, kind: str, error: Exception) -> UserInputError:
    """The error for a file of another kind."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UserInputError(f"slides: {path} cannot be read as a {kind}: {reason}")
