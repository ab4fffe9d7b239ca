"""Small models of every kind, and the files that older versions would have written of them."""

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import anndata as ad
import pandas as pd
import torch
from safetensors.torch import save_file

import celltraj as ct
from celltraj.models import Training, fit_bridge
from celltraj.models._files import digest_of, read_file
from celltraj.models._saved import FILE, FORMAT
from celltraj.models.references.paths import Paths
from celltraj.ot import Unbalanced, solve
from celltraj.snapshots import Snapshots

KINDS = ("plug-in", "neural", "still", "flow", "response")


def cells(n, *, seed, shift=0.0):
    """Return ``n`` cells of two variables."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 2, dtype=torch.float64, generator=generator) + shift


@cache
def small(kind, seed=0):
    """Return a small model of one of ``KINDS``, with all that a file of it may hold."""
    return globals()[kind.replace("-", "_")](seed)


def plug_in(seed):
    """Return a refined bridge: its reference has tensors, its rounds numbers that are not known."""
    clouds = tuple(cells(10, seed=3 * seed + k, shift=k) for k in range(3))
    adata = annotated(clouds)
    return ct.tl.fit_bridge(
        adata,
        reference=ct.models.OrnsteinUhlenbeck(),
        options=ct.models.BridgeOptions(refinement=ct.models.Refinement(max_rounds=1)),
        growth=None,
        training=None,
        seed=seed,
        progress=False,
    )


def neural(seed):
    """Return a bridge with two networks, along which cells grow."""
    x, y = cells(7, seed=seed), cells(9, seed=seed + 1, shift=1.0)
    generator = torch.Generator().manual_seed(seed)
    ends, halves = torch.stack([x, y[:7]]), torch.full((7,), 1 / 7).double()
    times = torch.tensor([0.0, 1.5]).double()
    paths = [Paths(times, ends, ends.diff(dim=0) / 1.5, halves)]
    family = ct.models.PotentialLandscape(width=3, max_iter=2, sigma=0.8)
    return fit_bridge(
        Snapshots(
            (0.0, 1.5),
            (x, y),
            (torch.rand(7, generator=generator), torch.ones(9)),
            (torch.linspace(0, 1, 7), torch.ones(9)),
            (1.0, 2.0),
        ),
        family.fit(paths, generator=generator),
        coupling=Unbalanced(0.8, 0.9),
        training=Training(max_steps=2, batch_size=4, width=4),
        generator=generator,
        progress=False,
    )


def still(seed):
    """Return a bridge with a network, in which every cell keeps its mass."""
    return fit_bridge(
        Snapshots((0.0, 1.0), (cells(6, seed=seed), cells(5, seed=seed + 1))),
        ct.models.Brownian(0.9),
        coupling=solve,
        training=Training(max_steps=2, batch_size=4, width=3),
        generator=torch.Generator().manual_seed(seed),
        progress=False,
    )


def flow(seed):
    """Return a flow with growth, along the paths of a law of motion with a network."""
    clouds = tuple(cells(10, seed=3 * seed + k, shift=k) for k in range(3))
    return ct.tl.fit_flow(
        annotated(clouds),
        training=ct.models.Training(max_steps=2, batch_size=4, width=4),
        interpolant=ct.models.ReferenceInterpolant(ct.models.KernelReference(n_centres=3)),
        seed=seed,
        progress=False,
    )


def response(seed):
    """Return a response with an encoder, kernels, features, covariates and a way back to genes."""
    adata = ct.datasets.interacting_populations(n_populations=3, n_cells=12, seed=seed)
    adata.obs["sex"] = ["FM"[int(name[-1]) % 2] for name in adata.obs["population"].astype(str)]
    encoder = ct.models.SetAttention(n_features=2, width=4, n_heads=2, n_seeds=2)
    model = ct.tl.fit_response(
        adata,
        population_key="population",
        condition_key="condition",
        control="before",
        options=ct.models.ResponseOptions(encoder=encoder, n_kernels=2, covariate_keys=["sex"]),
        training=ct.models.Training(max_steps=2, batch_size=4, width=4),
        seed=seed,
        progress=False,
    )
    loadings = torch.eye(3, model.dim, dtype=torch.float64).numpy()
    plane = ct.models.Projection(loadings[:, 0], loadings, ("a", "b", "c"), None, "X_pca")
    return replace(model, projection=plane)


def annotated(clouds):
    """Return clouds as AnnData with a column of times."""
    times = [float(k) for k, cloud in enumerate(clouds) for _ in cloud]
    index = [f"cell {i}" for i in range(len(times))]
    return ad.AnnData(torch.cat(clouds).numpy(), obs=pd.DataFrame({"time": times}, index=index))


def bytes_of(model, folder):
    """Return the file of a model: two models are the same if these are."""
    model.save(folder)
    return (Path(folder) / FILE).read_bytes()


def content_of(folder):
    """Return what the file in ``folder`` holds, in memory."""
    content = read_file(Path(folder) / FILE, formats=(FORMAT,))
    tensors = {name: value.clone() for name, value in content.tensors.items()}
    return replace(content, tensors=tensors)


def write_as_it_is(path, content, key="celltraj"):
    """Write a file with the digest of what it holds, whatever that is."""
    record = {"kind": content.kind, "format": content.format, "facts": content.facts}
    text = json.dumps(record | {"digest": digest_of(content)})
    save_file(content.tensors, path, metadata={key: text})


def write_old(folder, content, number):
    """Write what celltraj wrote in format 4 or 5: a JSON with NaN in it, and a file of tensors."""
    facts, tensors = dict(content.facts), dict(content.tensors)
    if "rounds" in facts:
        known = {"change", "held_out"}
        facts["rounds"] = [
            {k: math.nan if v is None and k in known else v for k, v in one.items()}
            for one in facts["rounds"]
        ]
    if number == 4:  # which did not know sizes of the population
        facts.pop("sizes" if content.kind == "bridge" else "", None)
        tensors.pop("mass.sizes", None)
        assert not {"totals", "growth.0"} & tensors.keys(), "no bridge had growth"
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{content.kind}.json").write_text(json.dumps({"format": number} | facts))
    save_file(tensors, folder / "tensors.safetensors")
