"""Makes torchvision importable beside a CPU-only build of PyTorch.

timm imports torchvision. The torchvision wheel on PyPI is compiled against the CUDA build of
PyTorch, so beside a CPU-only PyTorch its compiled operators do not load, and its import fails
when it attaches metadata to two of them. Declaring the two names without an implementation is
enough: no encoder suppresses detection boxes. Beside a CUDA build nothing is done.
"""

from __future__ import annotations

import torch

OPERATORS = ("nms", "qnms")
_libraries: list[torch.library.Library] = []  # a declaration lasts as long as its library object


def declare_missing_operators() -> None:
    """Declare torchvision's operators for a CPU-only PyTorch; call it before importing timm."""
    if torch.version.cuda is not None or _libraries:
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in OPERATORS:
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _libraries.append(library)
