"""Update a bridge or a flow of an AnnData: files, records, refusals."""

import copy
import warnings
from functools import partial

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct

SHORT = ct.models.Training(max_steps=60, width=16)
SILENT = {"progress": False}


def cells(times, *, n=60):
    """Return a cloud that moves on by one in each unit of time."""
    rows, states = [], []
    for t in times:
        rng = np.random.default_rng(int(t))
        states.append(0.4 * rng.normal(size=(n, 2)) + [t, 0.0])
        rows += [f"day {t}"] * n
    obs = pd.DataFrame({"day": rows}, index=[f"{row}, {k}" for k, row in enumerate(rows)])
    return ad.AnnData(np.concatenate(states).astype("float32"), obs=obs)


fit_flow = partial(ct.tl.fit_flow, time_key="day", training=SHORT, growth=None, **SILENT)
fit_plug_in = partial(ct.tl.fit_bridge, time_key="day", training=None, growth=None, **SILENT)
update = partial(ct.tl.update, time_key="day", training=SHORT, **SILENT)


@pytest.fixture(scope="module")
def flow():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ct.FitWarning)  # few steps
        return fit_flow(cells(range(3)))


@pytest.fixture(scope="module")
def bridge():
    return fit_plug_in(cells(range(3)))


@pytest.mark.filterwarnings("ignore::celltraj.FitWarning")
@pytest.mark.parametrize("replay", ["cells", "model"])
def test_a_flow_goes_on_and_survives_files(flow, replay, tmp_path):
    adata = cells(range(4)) if replay == "cells" else cells([3])
    given = adata.X.copy()
    longer = update(adata, flow, replay=replay)
    assert isinstance(longer, ct.models.FlowMatching)
    assert (flow.span, longer.span) == ((0.0, 2.0), (0.0, 3.0))
    assert longer.representation.times == (0.0, 1.0, 2.0, 3.0)
    assert np.array_equal(adata.X, given)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    record = ad.read_h5ad(tmp_path / "cells.h5ad").uns["celltraj"]["flow"]
    assert record["params"]["parent"] == longer.parent
    assert record["params"]["replay"] == replay
    assert record["time_points"].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert adata.obsm["flow_velocity"].shape == adata.shape
    assert len(ct.get.convergence(ad.read_h5ad(tmp_path / "cells.h5ad"), key="flow")) == 3
    longer.save(tmp_path)
    loaded = ct.load(tmp_path)
    x = torch.ones(3, 2)
    assert torch.equal(loaded.drift(2.5, x), longer.drift(2.5, x))
    assert loaded.parent == longer.parent
    # a loaded model goes on as the one that was saved, and is the same parent
    flow.save(tmp_path)
    again = update(adata.copy(), ct.load(tmp_path), replay=replay)
    assert again.parent == longer.parent
    assert torch.equal(again.drift(2.5, x), longer.drift(2.5, x))


def test_a_bridge_needs_the_new_cells_alone(bridge, tmp_path):
    one, other = cells([3]), cells(range(4))
    longer, same = update(one, bridge), update(other, bridge, key_added="longer")
    x = torch.ones(3, 2, dtype=torch.float64)
    assert torch.equal(longer.drift(2.5, x), same.drift(2.5, x))
    assert torch.equal(longer.drift(1.5, x), bridge.drift(1.5, x))
    longer.save(tmp_path)
    assert torch.equal(ct.load(tmp_path).drift(2.5, x), longer.drift(2.5, x))
    assert ct.load(tmp_path).parent == longer.parent != bridge.parent
    # all that reads a bridge reads it
    ct.tl.couplings(other, longer, time_key="day", **SILENT)
    assert len(ct.get.convergence(other, key="longer")) == 3
    assert other.obsm["longer_velocity"].dtype == np.float32
    further = update(cells([4]), longer)
    assert further.span == (0.0, 4.0)
    assert further.parent != longer.parent


def test_couplings_read_an_update_as_a_fit(bridge):
    adata = cells(range(4))
    ct.tl.couplings(adata, update(adata, bridge), time_key="day", **SILENT)
    assert [gap["t1"] for gap in adata.uns["celltraj"]["couplings"]["gaps"].to_dict("records")] == [
        1.0,
        2.0,
        3.0,
    ]


class TestRefused:
    def test_other_models(self, bridge):
        for model in (ct.models.Brownian(0.1), object()):
            with pytest.raises(TypeError, match=r"can be updated|must be"):
                update(cells([3]), model)

    def test_models_of_bare_tensors(self, bridge):
        bare = copy.copy(bridge)
        object.__setattr__(bare, "representation", None)
        with pytest.raises(ValueError, match="bare tensors"):
            update(cells([3]), bare)

    def test_another_space(self, bridge):
        adata = cells([3])
        adata.obsm["X_pca"] = adata.X.copy()
        with pytest.raises(ValueError, match="fitted in X, not in X_pca"):
            update(adata, bridge, use_rep="X_pca")
        with pytest.raises(ValueError, match="has 2 variables"):
            update(
                ad.concat([adata, adata], axis=1, merge="same", label=None, index_unique="-"),
                bridge,
            )
        other = cells([3])
        other.var_names = ["one", "other"]
        with pytest.raises(ValueError, match="other variables"):
            update(other, bridge)

    def test_a_bridge_without_its_cells(self, bridge):
        with pytest.raises(ValueError, match="holds the cells"):
            update(cells([3]), bridge, replay="model")

    def test_a_flow_without_its_cells(self, flow):
        with pytest.raises(ValueError, match="asks for the cells of all times"):
            update(cells([3]), flow)
        with pytest.raises(ValueError, match="takes no cells of old times"):
            update(cells(range(4)), flow, replay="model")

    def test_cells_kept_for_validation(self, flow):
        with pytest.raises(ValueError, match="validation"):
            update(cells(range(4)), flow, training=ct.models.Training(validation=0.1))

    def test_nothing_is_written(self, bridge):
        adata = cells([2, 3], n=70)
        with pytest.raises(ValueError, match="not those that the model was fitted to"):
            update(adata, bridge)
        assert "celltraj" not in adata.uns
        assert not adata.obsm


def test_cross_validation_refuses_updates_by_name(bridge):
    judge = partial(ct.tl.cross_validate, time_key="day", hold_out="day 1", **SILENT)
    with pytest.raises(ValueError, match=r"'bridge' is an update.*ct\.tl\.fit_flow"):
        judge(cells(range(4)), fit=partial(ct.tl.update, model=bridge))
    longer = update(cells([3]), bridge)
    with pytest.raises(ValueError, match="'mine' is an update"):
        judge(cells(range(4)), fit={"mine": lambda adata, **given: longer})
