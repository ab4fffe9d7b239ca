"""What the network of a response is trained to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from celltraj.models.networks import MetaNetwork, Neighbourhood, Situation


class ResponsePoints(NamedTuple):
    """Points of paths of ``p`` populations.

    Parameters
    ----------
    t
        ``(p, n, 1)`` shares of the response that are gone.
    x, rate, z
        ``(p, n, d)`` states, rates and noises.
    width
        ``(p, n, 1)`` standard deviation of the paths.
    start
        ``(p, n, d)`` untreated cells, drawn whatever becomes of them.
    survival
        ``(p, n)`` what these keep of their mass.
    carried
        ``(p, n, f)`` features that the cells of the states carry.
    start_carried
        ``(p, n, f)`` features that the untreated cells carry.
    neighbourhood
        ``(p, m, d)`` other cells of each population at the same time.
    features, mask
        ``(p, m, f)`` features for the encoder, and which of them are cells.
    noise
        ``(p, e)`` noise of the embedding.
    tokens, token_mask, covariates, keeps
        The condition, see :class:`celltraj.models.networks.Situation`.
    """

    t: Tensor
    x: Tensor
    rate: Tensor
    z: Tensor
    width: Tensor
    start: Tensor
    survival: Tensor
    carried: Tensor
    start_carried: Tensor
    neighbourhood: Tensor
    features: Tensor
    mask: Tensor
    noise: Tensor
    tokens: Tensor
    token_mask: Tensor
    covariates: Tensor
    keeps: Tensor


@dataclass(frozen=True)
class ResponseLoss:
    """Compute the loss of a network on points of paths.

    Parameters
    ----------
    kl
        Weight of the divergence of the embeddings.
    """

    kl: float = 0.0

    def __call__(self, network: MetaNetwork, points: ResponsePoints) -> Tensor:
        """Return the loss, a scalar."""
        field = network.field
        phi = network.embed(points.features, points.mask)
        loss = phi.new_zeros(())
        if self.kl and network.spread is not None:
            log_variance = network.spread(phi)
            divergence = 0.5 * (log_variance.exp() + phi.square() - 1 - log_variance).sum(1)
            loss = loss + self.kl * divergence.mean()
            phi = phi + (0.5 * log_variance).exp() * points.noise
        situation = (phi, points.tokens, points.token_mask, points.covariates, points.keeps)
        known = field.known(Situation(*situation))
        everyone = torch.ones_like(points.neighbourhood[..., 0], dtype=torch.bool)
        rate, score = field.heads(
            points.t,
            points.x,
            known,
            Neighbourhood(points.neighbourhood, everyone),
            carried=points.carried,
        )
        loss = loss + (rate - points.rate / field.scale).square().mean()
        if field.has_score:
            loss = loss + (points.z + points.width / field.scale * score).square().mean()
        if field.survival is not None:
            # Poisson's deviance: least where the head is the log of the mean
            log = field.log_survival(points.start, known, points.start_carried)
            loss = loss + (log.exp() - points.survival * log).mean()
        return loss
