"""Draw the picture of the README from real cells: snapshots, trajectories and fates side by side.

``python docs/picture.py``, with ``CELLTRAJ_DATA_DIR`` set: a minute of CPU.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import celltraj as ct

N_CELLS = 1500  # of each day


def _thinned(adata):
    rng = np.random.default_rng(0)
    days = adata.obs.groupby("time", observed=True).indices.values()
    rows = [rng.choice(day, N_CELLS, replace=False) for day in days]
    return adata[np.sort(np.concatenate(rows))].copy()


def main():
    """Fit, ask and draw."""
    adata = _thinned(ct.datasets.larry_spring())
    adata.uns["time_unit"] = "day"
    flow = ct.tl.fit_flow(adata, use_rep="X", seed=0, progress=False)
    path = ct.tl.simulate(adata, flow, start=2.0, stop=6.0, n_cells=60, seed=0, progress=False)
    ct.tl.couplings(adata, flow, progress=False)
    ct.tl.fates(adata, groupby="arm", at=6.0, progress=False)
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.7), layout="constrained")
    x, days = adata.X, adata.obs["time"].to_numpy()
    points = axes[0].scatter(*x.T, c=days, s=2, cmap="viridis", rasterized=True)
    figure.colorbar(points, ax=axes[0], ticks=[2, 4, 6], label="day")
    ct.pl.trajectories(adata, path, basis="X", components=(0, 1), ax=axes[1], show=False)
    ct.pl.fates(adata, fate="Neutrophil", basis="X", ax=axes[2], show=False)
    titles = ("snapshots", "trajectories of one flow", "share that becomes neutrophil by day 6")
    for ax, title in zip(axes, titles, strict=True):
        ax.set(title=title, xlabel="", ylabel="", xticks=[], yticks=[])
    figure.savefig(Path(__file__).with_name("readme.png"), dpi=110)


if __name__ == "__main__":
    main()
