"""Multi-layer perceptron with an explicit source of randomness."""

from __future__ import annotations

import itertools
import math

import torch


def mlp(
    n_in: int, n_out: int, *, width: int, generator: torch.Generator, n_hidden: int = 3
) -> torch.nn.Sequential:
    """Return a perceptron of ``n_hidden`` SiLU layers, initialised from ``generator`` alone.

    Examples
    --------
    >>> import torch
    >>> net = mlp(3, 2, width=8, generator=torch.Generator())
    >>> net(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """
    sizes = [n_in, *[width] * n_hidden, n_out]
    layers: list[torch.nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [linear(fan_in, fan_out, generator), torch.nn.SiLU()]
    return torch.nn.Sequential(*layers[:-1])


def linear(n_in: int, n_out: int, generator: torch.Generator) -> torch.nn.Linear:
    """Return a linear layer, initialised from ``generator`` alone."""
    # skip_init leaves the global random state alone, which Linear's own reset does not; by itself
    # it builds on the CPU, and a network on the meta device must take no memory
    device = torch.get_default_device()
    layer: torch.nn.Linear = torch.nn.utils.skip_init(torch.nn.Linear, n_in, n_out, device=device)
    bound = 1 / math.sqrt(n_in)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer
