"""Grow the network of a law of motion by snapshots that follow its last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from celltraj.models.networks import TwoHeads

_FIRST = "net.0.weight"  # the layer that sees time


def grown_heads(heads: TwoHeads, times: Sequence[float]) -> TwoHeads:
    """Return a network of more snapshots that says the same of every time before their first.

    Units of states, rates and scores stay. A snapshot brings an input of its own, the hat function
    around it, which is zero before the last one of the network: it begins with the weights of that
    one, so that the law goes on as it was. The share of the duration that is gone shrinks as the
    duration grows, and its weights grow by as much.

    Parameters
    ----------
    heads
        The network.
    times
        ``(T,)`` sampling times, those of the network first, in [t].

    Raises
    ------
    ValueError
        The times do not go on from those of the network.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.networks import HeadSizes, TwoHeads
    >>> from celltraj.models.update.heads import grown_heads
    >>> old = TwoHeads(HeadSizes(2, 2, width=8), generator=torch.Generator().manual_seed(0))
    >>> new = grown_heads(old, (0.0, 1.0, 3.0))
    >>> x = torch.ones(1, 2)
    >>> bool(torch.allclose(new.predict(0.4, x)[0], old.predict(0.4, x)[0], atol=1e-6))
    True
    """
    known, wanted = heads.times.tolist(), [float(t) for t in times]
    n = len(known)
    if wanted[:n] != known or len(wanted) == n or not bool(torch.tensor(wanted).diff().min() > 0):
        raise ValueError(f"times {wanted} do not go on from those of the network, {known}")
    sizes = replace(heads.sizes, n_times=len(wanted))
    grown = TwoHeads(sizes, generator=torch.Generator().manual_seed(0))  # all weights are replaced
    state = {name: value.clone() for name, value in heads.state_dict().items()}
    longer = (wanted[-1] - wanted[0]) / (known[-1] - known[0])
    state[_FIRST] = _widened(state[_FIRST], sizes.dim, n, len(wanted) - n, longer)
    state["times"] = torch.tensor(wanted, dtype=torch.float64)
    grown.load_state_dict(state)
    return grown


def _widened(weight: Tensor, dim: int, n: int, n_new: int, longer: float) -> Tensor:
    """Return weights ``(w, d + 1 + n + c)`` with columns for more hats, and a longer duration."""
    states, share, hats, rest = weight.split([dim, 1, n, weight.shape[1] - dim - 1 - n], 1)
    return torch.cat([states, longer * share, hats, hats[:, -1:].expand(-1, n_new), rest], 1)
