"""CLUB, an upper bound of the mutual information of two vectors, for a Gaussian of unit variance.

Cheng et al., "CLUB: A Contrastive Log-ratio Upper Bound of Mutual Information", ICML 2020.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.func import functional_call


class Club(nn.Module):
    """Predicts y from x with an error of unit variance, x -> 512 -> y at the published width.

    The bound holds as far as the prediction is good. So predicting and minimising are kept apart:
    the misfit trains only this network, the bound only what x and y were computed by.
    """

    def __init__(self, x_width: int, hidden: int, y_width: int) -> None:
        super().__init__()
        self.predictor = nn.Sequential(
            nn.Linear(x_width, hidden), nn.ReLU(), nn.Linear(hidden, y_width)
        )

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """(B, x_width), (B, y_width) -> bound and misfit, scalars; zero for no patients."""
        frozen = {name: weight.detach() for name, weight in self.predictor.named_parameters()}
        bound = club_bound(functional_call(self.predictor, frozen, (x,)), y)
        return bound, misfit(self.predictor(x.detach()), y.detach())


def club_bound(predicted: Tensor, y: Tensor) -> Tensor:
    """Mean over patients i of log q(y_i | x_i) - mean_j log q(y_j | x_i), q = N(predicted, 1).

    With unit variance the squares cancel; the summed covariance of prediction and y is left.
    """
    count = max(1, len(y))
    return ((y - y.sum(dim=0) / count) * predicted).sum() / count


def misfit(predicted: Tensor, y: Tensor) -> Tensor:
    """Mean over patients of the squared distance of the predictions (B, d) from y."""
    return (predicted - y).square().sum() / max(1, len(y))
