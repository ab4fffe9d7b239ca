"""What a cell sees of the cells around it: kernels over its own population."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_FAR = 8.0  # length of a vector at which it saturates, in whatever it is measured
_FINEST, _COARSEST = -1.5, 0.7  # log bandwidths of the first and the last head, in standard units


class NeighbourhoodKernels(torch.nn.Module):
    r"""Describe a population as each of ``n`` states sees it, by ``h`` learned kernels.

    ``w_j = exp(-|W_h (x - y_j)|^2 / 2)`` gives a state the way to the mean of its surroundings
    ``W_h (sum_j w_j y_j / sum_j w_j - x)`` and the log of their density ``log mean_j w_j``. A field
    that reads them depends on the population itself, as the drift of interacting cells does
    (McKean & Vlasov), and moves with it: the kernels see differences only. Both saturate far away.

    Parameters
    ----------
    dim
        Number of state variables d.
    n_heads
        Number of kernels h, from narrow to wide at the start.
    """

    def __init__(self, dim: int, n_heads: int) -> None:
        super().__init__()
        start = torch.linspace(_FINEST, _COARSEST, n_heads)
        # a pair of standard normal states lies sqrt(2 d) apart: bandwidths grow with the dimension
        start = start + 0.25 * math.log(dim / 2)
        self.log_bandwidth = torch.nn.Parameter(start[:, None].repeat(1, dim))

    @property
    def size(self) -> int:
        """How many numbers each state gets."""
        n_heads, dim = self.log_bandwidth.shape
        return n_heads * (dim + 1)

    def forward(
        self,
        x: Float[Tensor, "p n d"],
        neighbourhood: Float[Tensor, "p m d"],
        mask: Bool[Tensor, "p m"],
        own: Int[Tensor, "p n"] | None = None,
    ) -> Float[Tensor, "p n f"]:
        """Return what each state sees; cells outside ``mask`` do not count.

        Nor does to a state the cell ``own`` of them that it is itself, -1 where it is none.
        """
        neighbourhood = torch.where(mask[..., None], neighbourhood, 0.0)
        scale = torch.exp(-self.log_bandwidth)[:, None]  # (h, 1, d)
        near, far = x[:, None] * scale, neighbourhood[:, None] * scale
        squares = near.square().sum(-1)[..., None] + far.square().sum(-1)[:, :, None]
        logits = near @ far.mT - squares / 2
        hidden = ~mask[:, None]  # (p, 1, m), or (p, n, m) where each sees others
        if own is not None:
            hidden = hidden | (
                torch.arange(neighbourhood.shape[1], device=x.device) == own[..., None]
            )
        logits = logits.masked_fill(hidden[:, None], -math.inf)
        to_mean = logits.softmax(-1) @ far - near
        count = (~hidden).sum(-1).to(x.dtype).clamp(min=1).log()
        density = torch.logsumexp(logits, -1) - count[:, None]
        seen = torch.cat([saturated(to_mean), saturated(density[..., None])], -1)
        return seen.transpose(1, 2).flatten(2)


def saturated(v: Tensor) -> Tensor:
    """Return vectors whose length saturates at 8: what is far is told no further."""
    return v / (1 + v.square().sum(-1, keepdim=True) / _FAR**2).sqrt()
