"""Random-effects meta-analysis: several studies' estimates of one quantity, pooled.

Study i estimates its own effect theta_i by y_i with the variance v_i, which is taken as known; the
effects vary between studies around their mean mu with the variance tau^2. Arrays are (..., k), the
k studies last, so that many meta-analyses are computed at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, stdtrit

GRID, BISECTIONS = 50, 60
POOLING = (
    "random effects; variance between studies by restricted maximum likelihood; interval of "
    "Hartung and Knapp, no narrower than with a factor of 1; prediction interval by Student’s t "
    "with k − 2 degrees of freedom"
)


@dataclass(frozen=True)
class Pooled:
    """A pooled mean with its intervals and what is said of heterogeneity, each (...,).

    `low` and `high` are the limits of the mean effect; `prediction_low` and `prediction_high` those
    of the effect of a new study, NaN where k < 3. `tau2` is the variance between studies and
    `tau2_moments` the estimate of DerSimonian and Laird beside it; `i2` is its share in the
    variance of the estimates, `q` and `q_p` Cochran's test of tau^2 = 0. `weights` (..., k) sum
    to 1.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    prediction_low: np.ndarray
    prediction_high: np.ndarray
    tau2: np.ndarray
    tau2_moments: np.ndarray
    i2: np.ndarray
    q: np.ndarray
    q_p: np.ndarray
    weights: np.ndarray


def standard_error(
    value: float, low: float, high: float, freedom: float, confidence: float
) -> float:
    """The standard error that an interval was made with, as Student's t times it on either side.

    `freedom` of the t, infinite for the normal distribution. Limits may have been clipped to what
    is possible, on one side at most; the wider side counts.
    """
    return max(high - value, value - low) / float(stdtrit(freedom, 0.5 + confidence / 2))


def random_effects(values: np.ndarray, variances: np.ndarray, confidence: float) -> Pooled:
    """Pool estimates (..., k) with their variances (..., k), all above 0; k is at least 2.

    tau^2 is that of `restricted_maximum_likelihood`. The interval is that of Hartung and Knapp
    (Stat Med 2001;20:3875), which for few studies holds its level where the normal one does not
    (IntHout et al., BMC Med Res Methodol 2014;14:25): Student's t with k - 1 degrees of freedom,
    and the variance 1 / sum(w) times q = sum(w (y - mu)^2) / (k - 1). Studies that agree by chance
    make q, and so the interval, too small; max(1, q) takes its place (Knapp and Hartung, Stat Med
    2003;22:2693), which makes the interval conservative where tau^2 is 0. The prediction interval
    (Higgins et al., J R Stat Soc A 2009;172:137) has tau^2 plus that variance, and k - 2 degrees of
    freedom, as Partlett and Riley (Stat Med 2017;36:301) examined it. I^2 is Higgins and
    Thompson's (Stat Med 2002;21:1539), from Q.
    """
    k = values.shape[-1]
    tau2 = restricted_maximum_likelihood(values, variances)
    weights = 1 / (variances + tau2[..., None])
    total = weights.sum(-1)
    value = weighted_mean(values, weights)
    spread = (weights * (values - value[..., None]) ** 2).sum(-1) / (k - 1)
    variance = np.maximum(1.0, spread) / total
    margin = float(stdtrit(k - 1, 0.5 + confidence / 2)) * np.sqrt(variance)
    t = float(stdtrit(k - 2, 0.5 + confidence / 2)) if k > 2 else np.nan
    reach = t * np.sqrt(tau2 + variance)
    q = cochran_q(values, variances)
    i2 = np.maximum(0.0, q - (k - 1)) / np.maximum(q, np.finfo(float).tiny)
    return Pooled(
        value,
        value - margin,
        value + margin,
        value - reach,
        value + reach,
        tau2,
        dersimonian_laird(values, variances),
        i2,
        q,
        chdtrc(k - 1, q),
        weights / total[..., None],
    )


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over the studies, (...,)."""
    mean: np.ndarray = (weights * values).sum(-1) / weights.sum(-1)
    return mean


def cochran_q(values: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Cochran's Q: squared distances from the mean with fixed effects, in standard errors."""
    weights = 1 / variances
    q: np.ndarray = (weights * (values - weighted_mean(values, weights)[..., None]) ** 2).sum(-1)
    return q


def dersimonian_laird(values: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """tau^2 by the method of moments (DerSimonian and Laird, Control Clin Trials 1986;7:177)."""
    weights = 1 / variances
    total, squares = weights.sum(-1), (weights**2).sum(-1)
    excess = cochran_q(values, variances) - (values.shape[-1] - 1)
    tau2: np.ndarray = np.maximum(0.0, excess / (total - squares / total))
    return tau2


def restricted_maximum_likelihood(values: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """tau^2 by restricted maximum likelihood, which Viechtbauer found the best of the usual ones.

    (J Educ Behav Stat 2005;30:261.) The likelihood may have two maxima, one of them at 0: the
    highest point of a grid is taken, and between its neighbours the place where the slope is 0.
    """
    farthest = 10 * np.ptp(values, axis=-1) ** 2  # beyond it the likelihood falls
    grid = np.r_[0.0, np.geomspace(1e-5, 1, GRID)][:, None] * farthest.reshape(1, -1)
    grid = grid.reshape(-1, *farthest.shape)
    found = np.stack([restricted_likelihood(tau2, values, variances) for tau2 in grid])
    best = found.argmax(0)[None]
    low = np.take_along_axis(grid, np.maximum(best - 1, 0), 0)[0]
    high = np.take_along_axis(grid, np.minimum(best + 1, GRID), 0)[0]
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        rises = slope(middle, values, variances) > 0
        low, high = np.where(rises, middle, low), np.where(rises, high, middle)
    at_zero = restricted_likelihood(np.zeros_like(low), values, variances)
    higher = restricted_likelihood(low, values, variances) > at_zero
    tau2: np.ndarray = np.where(higher, low, 0.0)
    return tau2


def slope(tau2: np.ndarray, values: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Twice the derivative of the restricted log-likelihood, (...,).

    With P = W - w w' / sum(w): y' P P y - tr P.
    """
    w = 1 / (variances + tau2[..., None])
    total = w.sum(-1)
    squares = (w**2 * (values - weighted_mean(values, w)[..., None]) ** 2).sum(-1)
    found: np.ndarray = squares - (total - (w**2).sum(-1) / total)
    return found


def restricted_likelihood(
    tau2: np.ndarray, values: np.ndarray, variances: np.ndarray
) -> np.ndarray:
    """The restricted log-likelihood of tau^2, without its constant."""
    w = 1 / (variances + tau2[..., None])
    squares = (w * (values - weighted_mean(values, w)[..., None]) ** 2).sum(-1)
    found: np.ndarray = (np.log(w).sum(-1) - np.log(w.sum(-1)) - squares) / 2
    return found
