"""Results survive h5ad and zarr, and every plot draws from what comes back."""

from functools import partial

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import celltraj as ct
from celltraj.models import Midpoint, NeuralDrift, PlugInDrift

DRIFTS = {"plug-in": PlugInDrift(), "neural": NeuralDrift(max_steps=20, width=16)}
STORES = {
    "h5ad": (ad.AnnData.write_h5ad, ad.read_h5ad),
    "zarr": (ad.AnnData.write_zarr, ad.read_zarr),
}
PLOTS = {
    "snapshots": lambda adata, path, scores: ct.pl.snapshots(adata, show=False),
    "trajectories": lambda adata, path, scores: ct.pl.trajectories(adata, path, show=False),
    "marginals": lambda adata, path, scores: ct.pl.marginals(adata, path, show=False),
    "history": lambda adata, path, scores: ct.pl.history(adata, show=False),
    "cross_validation": lambda adata, path, scores: ct.pl.cross_validation(scores, show=False),
}


@pytest.fixture(scope="module", params=DRIFTS)
def results(request):
    """Return the fitted data, a simulated path and interpolated cells."""
    adata = ct.datasets.branching(n_cells=20, seed=0)
    bridge = ct.tl.fit_bridge(adata, drift=DRIFTS[request.param], seed=2, progress=False)
    path = ct.tl.simulate(
        adata,
        bridge,
        start=0.0,
        stop=4.0,
        n_cells=10,
        n_times=5,
        solver=Midpoint(n_steps=5),
        progress=False,
    )
    return adata, path, ct.tl.interpolate(adata, bridge, time=1.5, n_cells=10)


@pytest.fixture(params=STORES)
def reload(request, tmp_path):
    """Return a function that writes an AnnData and returns what is read back."""
    write, read = STORES[request.param]

    def through_file(adata):
        file = tmp_path / f"{id(adata)}.{request.param}"
        write(adata, file)
        return read(file)

    return through_file


def assert_same(found, expected):
    """Compare what may stand in ``uns``, in depth."""
    if isinstance(expected, dict):
        assert set(found) == set(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, pd.DataFrame):
        # text columns may come back as another kind of text; numbers must keep their kind
        pd.testing.assert_frame_equal(found, expected, check_index_type=False)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected
        assert isinstance(found, np.generic) or type(found) is type(expected)


@pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
def test_every_value_comes_back(results, reload):
    for adata in results:
        again = reload(adata)
        assert_same(again.uns["celltraj"], adata.uns["celltraj"])
        np.testing.assert_array_equal(again.X, adata.X)
        assert list(again.obsm) == list(adata.obsm)
        for key, value in adata.obsm.items():
            np.testing.assert_array_equal(again.obsm[key], value)
        assert_same(
            {name: again.obs[name].to_numpy() for name in again.obs},
            {name: adata.obs[name].to_numpy() for name in adata.obs},
        )


@pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
def test_every_plot_draws_from_what_comes_back(results, reload, tmp_path):
    adata, path = (reload(a) for a in results[:2])
    fit = partial(ct.tl.fit_bridge, drift=PlugInDrift(), progress=False)
    ct.tl.cross_validate(adata, fit=fit, hold_out=[2.0], progress=False).to_csv(
        tmp_path / "scores.csv", index=False
    )
    scores = pd.read_csv(tmp_path / "scores.csv")
    is_trained = len(adata.uns["celltraj"]["bridge"]["history"]) > 0
    for name, draw in PLOTS.items():
        if name == "history" and not is_trained:
            with pytest.raises(ValueError, match="not trained"):
                draw(adata, path, scores)
            continue
        ax = np.ravel(draw(adata, path, scores))[0]
        ax.figure.canvas.draw()
        assert ax.has_data()
    plt.close("all")


def test_no_plot_is_left_out():
    # these draw a bridge, which is saved by itself: tests/models/test_save.py
    of_bridges = {"landscape", "refinement", "vector_field"}
    # these draw what tests/pl/test_response_plots.py reads from files
    of_responses = {"populations", "response", "response_scores"}
    assert set(PLOTS) == set(ct.pl.__all__) - of_bridges - of_responses
