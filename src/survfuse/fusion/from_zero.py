"""Linear layers that say nothing until they have learned something."""

from __future__ import annotations

from torch import Tensor, nn

# Adam moves every weight by about the learning rate, which suits deep networks. Few weights of
# standardised inputs may move faster, those of many channels that are still changing slower.
FEW_INPUTS, DEEP_INPUTS = 10.0, 0.1


class FromZero(nn.Linear):
    """(..., inputs) -> (..., outputs); all weights start at zero and learn `gain` times as fast.

    What random weights say at first is chance, and a small cohort ends its training before it has
    unlearned it. With different gains, what a few inputs say by themselves is learned first, and a
    network adds to that.
    """

    def __init__(self, inputs: int, outputs: int, gain: float = 1.0) -> None:
        super().__init__(inputs, outputs)
        self.gain = gain
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * x @ self.weight.mT + self.bias
