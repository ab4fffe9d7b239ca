"""The table of keys is what the code writes and what the documentation shows."""

from pathlib import Path

import celltraj as ct
from celltraj._anndata import keys
from celltraj.models import PlugInDrift

DOCS = Path(__file__).parents[2] / "docs" / "keys.md"


def places(adata):
    """Return slot and path of everything in ``obs``, ``obsm`` and below ``uns["celltraj"]``."""
    found = {("obs", (name,)) for name in adata.obs} | {("obsm", (name,)) for name in adata.obsm}
    records = adata.uns.get("celltraj", {})
    return found | {
        ("uns", ("celltraj", name, field)) for name, record in records.items() for field in record
    }


def expected(table, **values):
    return {(key.slot, key.at(**values)) for key in table}


def fitted(key_added=None, reference=None):
    adata = ct.datasets.branching(n_cells=20, seed=0)
    adata.obsm["X_two"] = adata.X.copy()
    before = places(adata)
    bridge = ct.tl.fit_bridge(
        adata,
        use_rep="X_two",
        reference=reference,
        max_refinements=1,
        drift=PlugInDrift(),
        key_added=key_added,
        progress=False,
    )
    return adata, bridge, places(adata) - before


def test_fit_bridge_writes_exactly_its_keys():
    refined = ("uns", ("celltraj", "{key}", "refinement"))
    plain = [key for key in keys.FIT_BRIDGE if (key.slot, key.path) != refined]
    assert len(plain) == len(keys.FIT_BRIDGE) - 1
    assert fitted()[2] == expected(plain, key="bridge")
    assert fitted("mine")[2] == expected(plain, key="mine")
    pull = ct.models.OrnsteinUhlenbeck()
    assert fitted(reference=pull)[2] == expected(keys.FIT_BRIDGE, key="bridge")


def test_fit_flow_writes_exactly_its_keys():
    adata = ct.datasets.branching(n_cells=20, seed=0)
    before = places(adata)
    short = ct.models.FlowTraining(max_steps=5)
    ct.tl.fit_flow(adata, training=short, progress=False)
    assert places(adata) - before == expected(keys.FIT_FLOW, key="flow")


class Doubling(ct.models.Brownian):
    def growth(self, t, x):
        return 0 * x[:, 0] + 0.7


def test_simulate_and_interpolate_write_exactly_their_keys():
    adata, bridge, _ = fitted()
    path = ct.tl.simulate(
        adata,
        bridge,
        start=0.0,
        stop=1.0,
        n_cells=3,
        n_times=2,
        use_rep="X_two",
        ode_solver=ct.models.Midpoint(n_steps=5),
        progress=False,
    )
    mass = ("obs", ("mass",))
    plain = [key for key in keys.SIMULATE if (key.slot, key.path) != mass]
    assert len(plain) == len(keys.SIMULATE) - 1
    assert places(path) == expected(plain, use_rep="X_two")
    grown = ct.tl.simulate(
        adata, Doubling(0.1), start=0.0, stop=1.0, use_rep="X_two", progress=False
    )
    assert places(grown) == expected(keys.SIMULATE, use_rep="X_two")
    cells = ct.tl.interpolate(adata, bridge, time=0.5, n_cells=3, use_rep="X_two")
    assert places(cells) == expected(keys.INTERPOLATE, use_rep="X_two")


def test_the_documentation_shows_the_table():
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    shown = [tuple(cell.strip() for cell in row.strip("|").split(" | ")) for row in rows]
    assert shown == [
        (
            f"`{key.slot}`",
            f"`{key.path[0]}`"
            if len(key.path) == 1
            else "`" + "".join(f'["{part}"]' for part in key.path) + "`",
            key.content,
            key.unit,
            key.written_by if key.written_by == "you" else f"`{key.written_by}`",
        )
        for key in keys.KEYS
    ]
