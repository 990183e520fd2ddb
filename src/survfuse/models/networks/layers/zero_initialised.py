"""Linear layers whose weights start at zero, with a gain on their learning rate."""

from __future__ import annotations

from torch import Tensor, nn

# Adam moves every weight by about the learning rate, which suits deep networks. Few weights of
# standardised inputs may move faster, those of many channels that are still changing slower.
FEW_INPUTS, DEEP_INPUTS = 10.0, 0.1


class ZeroInitialisedLinear(nn.Linear):
    """(..., inputs) -> (..., outputs); all weights start at zero and learn `gain` times as fast.

    Random initial weights are noise, and a small cohort ends its training before it has unlearned
    it. With different gains, the effects of a few inputs are learned first, and a network adds to
    them.
    """

    def __init__(self, inputs: int, outputs: int, gain: float = 1.0) -> None:
        super().__init__(inputs, outputs)
        self.gain = gain
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * x @ self.weight.mT + self.bias
