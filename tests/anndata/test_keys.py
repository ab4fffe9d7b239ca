"""What a result declares is what the code writes and what the documentation shows."""

import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from declared import any_place, check_places, check_record, declared_places, written

import celltraj as ct
from celltraj._anndata.keys import page
from celltraj._anndata.results import (
    BRIDGE,
    CONDITION,
    DRIVERS,
    ENTROPY,
    FATES,
    FLOW,
    INTERPOLATE,
    RESULTS,
    SIMULATE,
    SLICE,
    Field,
    Place,
)

DOCS = Path(__file__).parents[2] / "docs" / "keys.md"
WRITE_NOTHING = {  # return tables, logs or models
    "pp": {"check_times", "match_variables"},
    "tl": {"bootstrap", "cross_validate", "cross_validate_response", "regulation", "which_model"}
    | {"dose_response", "fit_response_folds", "gene_scores", "response_intervals"}
    | {"cross_validate_arms", "forecast_intervals", "resample"},
    "ex": {"to_cell_eval"},
    "io": {"from_files", "from_mudata"},
}


def functions():
    for module in (ct.pp, ct.tl, ct.io, ct.ex):
        name = module.__name__.rpartition(".")[2]
        for one in set(module.__all__) - WRITE_NOTHING.get(name, set()):
            yield f"{name}.{one}", getattr(module, one)


def fitted(key_added="bridge", reference=None):
    adata = ct.datasets.branching(n_cells=20, seed=0)
    adata.obsm["X_two"] = adata.X.copy()
    before = written(adata)
    bridge = ct.tl.fit_bridge(
        adata,
        use_rep="X_two",
        reference=reference,
        options=ct.models.BridgeOptions(refinement=ct.models.Refinement(max_rounds=1)),
        growth=None,
        training=None,
        key_added=key_added,
        progress=False,
    )
    return adata, bridge, written(adata) - before


class Doubling(ct.models.Brownian):
    def growth(self, t, x):
        return 0 * x[:, 0] + 0.7


class TestWritten:
    def test_a_bridge_fills_its_places_and_its_record(self):
        for name, reference in (("bridge", None), ("mine", ct.models.OrnsteinUhlenbeck())):
            adata, _, new = fitted(name, reference)
            record = adata.uns["celltraj"][name]
            assert new == declared_places(BRIDGE, key=name) == {("obsm", f"{name}_velocity")}
            check_record(record, BRIDGE)
            check_places(adata, name, record, BRIDGE)
            assert ("refinement" in record) == (reference is not None)

    def test_so_does_a_flow(self):
        adata = ct.datasets.branching(n_cells=20, seed=0)
        before = written(adata)
        short = ct.models.Training(max_steps=5)
        ct.tl.fit_flow(adata, training=short, progress=False)
        assert written(adata) - before == declared_places(FLOW, key="flow")
        check_record(adata.uns["celltraj"]["flow"], FLOW)

    def test_new_cells_have_exactly_what_is_declared(self):
        adata, bridge, _ = fitted()
        options = {"start": 0.0, "stop": 1.0, "use_rep": "X_two", "progress": False}
        path = ct.tl.simulate(
            adata, bridge, n_cells=3, n_times=2, ode_solver=ct.models.Midpoint(n_steps=5), **options
        )
        assert written(path) == declared_places(SIMULATE, use_rep="X_two")
        check_record(path.uns["celltraj"]["simulate"], SIMULATE)
        grown = ct.tl.simulate(adata, Doubling(0.1), **options)
        names = {"use_rep": "X_two", "time_key": "time"}
        assert written(grown) == declared_places(SIMULATE, among=any_place, **names)
        steered = ct.tl.condition(
            adata, Doubling(0.1), toward=None, n_particles=20, n_times=2, **options
        )
        assert written(steered) == declared_places(CONDITION, use_rep="X_two")
        check_record(steered.uns["celltraj"]["condition"], CONDITION)
        cells = ct.tl.interpolate(adata, bridge, time=0.5, n_cells=3, use_rep="X_two")
        assert written(cells) == declared_places(INTERPOLATE, use_rep="X_two")
        check_record(cells.uns["celltraj"]["interpolate"], INTERPOLATE)

    def test_so_does_a_slice_between_others(self):
        adata = ct.datasets.growing_tissue(n_cells=60, seed=0)
        adata.obsm["X_two"] = adata.X[:, :2].copy()
        ct.tl.couple_space(adata, use_rep="X_two", progress=False)
        cells = ct.tl.interpolate_slice(adata, at=0.5, n_cells=3)
        names = {"use_rep": "X_two", "spatial_key": "spatial"}
        assert written(cells) == declared_places(SLICE, **names)
        check_record(cells.uns["celltraj"]["interpolate_slice"], SLICE)

    def test_no_velocity_is_named_as_an_embedding(self):
        assert not [
            one.name
            for result in RESULTS
            for one in result.places
            if one.name.startswith("X_") and "velocity" in one.name
        ]


class TestRefused:
    @pytest.fixture
    def adata(self):
        return ct.datasets.branching(n_cells=5, seed=0)

    def test_a_field_that_is_not_declared(self, adata):
        with pytest.raises(ValueError, match=r"entropy declares no field \['mine'\]"):
            ENTROPY.write(adata, "e", {"params": {}, "mine": 1})
        with pytest.raises(ValueError, match="declares no field"):
            SIMULATE.made({"mine": 1}, [])

    def test_a_place_that_is_not_declared(self, adata):
        column = np.zeros(adata.n_obs, dtype="float32")
        for name, values in (("other", column), ("e", column[:, None])):
            with pytest.raises(ValueError, match="entropy declares no place"):
                ENTROPY.write(adata, "e", {"params": {}}, {name: values})
        fates = np.zeros((adata.n_obs, 2), dtype="float32")
        FATES.write(adata, "e", {"params": {}}, {"e": fates, "e_lower": fates})
        with pytest.raises(ValueError, match="fates declares no place obsm 'e_middle'"):
            FATES.write(adata, "e", {"params": {}}, {"e_middle": fates})

    def test_values_of_another_type(self, adata):
        with pytest.raises(ValueError, match="is float32; found float64"):
            ENTROPY.write(adata, "e", {"params": {}}, {"e": np.zeros(adata.n_obs)})
        five = Place("obsm", "{key}", "potentials", width="5")
        with pytest.raises(ValueError, match=r"\(n_obs, 5\); found \(3, 4\)"):
            five.check(np.zeros((3, 4)))

    def test_tables_of_other_columns(self, adata):
        table = pd.DataFrame({name: [0] for name in DRIVERS.fields[0].columns})
        DRIVERS.made({"table": table.drop(columns="n_samples")}, [])
        for other in (table.drop(columns="gene"), table.assign(mine=1)):
            with pytest.raises(ValueError, match="the table 'table' has columns"):
                DRIVERS.made({"table": other}, [])
        Field("a", "open", columns=("x",), is_open=True).check(pd.DataFrame({"x": [1], "y": [2]}))

    def test_nothing_is_written_of_what_is_refused(self, adata):
        before = written(adata)
        column = np.zeros(adata.n_obs, dtype="float32")
        with pytest.raises(ValueError, match="declares no"):
            ENTROPY.write(adata, "e", {"mine": 1}, {"e": column})
        assert written(adata) == before
        assert "celltraj" not in adata.uns


class TestDeclared:
    def test_the_documentation_is_written_from_it(self):
        assert DOCS.read_text() == page(), "python -m celltraj._anndata.keys > docs/keys.md"

    def test_every_function_that_writes_is_named_by_a_result(self):
        named = {name for one in RESULTS for name in one.written_by}
        assert named == {name for name, _ in functions()}

    def test_the_default_name_is_that_of_the_function(self):
        calls = dict(functions())
        for result in RESULTS:
            call = inspect.signature(calls[result.written_by[0]]).parameters
            name = call["key_added"].default if "key_added" in call else None
            assert name in (None, result.key), result.kind

    def test_kinds_and_patterns_are_told_apart(self):
        assert len({one.kind for one in RESULTS}) == len(RESULTS)
        for result in RESULTS:
            names = [(one.slot, one.name) for one in result.places]
            assert len(set(names)) == len(names)

    def test_a_pattern_takes_the_key_by_letter(self):
        place = Place("obsm", "{key}_{basis}", "projection")
        assert place.holds("obsm", "a.b_umap", "a.b")
        assert not place.holds("obsm", "axb_umap", "a.b")
        assert not place.holds("obs", "a.b_umap", "a.b")
