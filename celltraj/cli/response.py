"""The commands for treatment responses: ``celltraj fit-response | predict``."""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd
from safetensors import SafetensorError

import celltraj as ct
from celltraj.cli.files import (
    CHECKPOINT,
    check_column,
    check_training,
    check_writable,
    earlier_results,
    files_of_model,
    read_h5ad,
)
from celltraj.cli.lock import Lock
from celltraj.cli.swap import finish_swaps, staged, writing
from celltraj.models import (
    MetaFlowMatching,
    ResponseOptions,
    TrainerOptions,
    Training,
    remove_checkpoint,
)

logger = logging.getLogger("celltraj")
_COLUMNS = ("population", "condition", "dose", "covariate", "cell_type")


def fit(arguments: argparse.Namespace) -> None:
    """Fit the response to treatments."""
    start = time.perf_counter()
    check_training(arguments.out, reads=[arguments.data])
    finish_swaps(arguments.data.parent)
    with writing(arguments.out) as lock:
        summary = _fit_and_draw(_read_cohort(arguments), arguments, lock, start)
        remove_checkpoint(arguments.out / CHECKPOINT)
    if arguments.json:
        print(_json(summary))
    else:
        print("\n".join(f"{name}: {value}" for name, value in summary.items()))


def _fit_and_draw(
    adata: ad.AnnData, arguments: argparse.Namespace, lock: Lock, start: float
) -> dict[str, Any]:
    trainer = TrainerOptions(
        checkpoint=arguments.out / CHECKPOINT,
        checkpoint_every=arguments.checkpoint_every or TrainerOptions.checkpoint_every,
        resume=arguments.resume,
    )
    with staged(lock, earlier_results(arguments.out)) as folder:
        model = ct.tl.fit_response(
            adata,
            population_key=arguments.population,
            condition_key=arguments.condition,
            control=arguments.control,
            use_rep=arguments.use_rep,
            cell_type_key=arguments.cell_type,
            dose_key=arguments.dose,
            options=ResponseOptions(covariate_keys=tuple(arguments.covariate)),
            training=Training(max_steps=arguments.max_steps, trainer=trainer),
            seed=arguments.seed,
            progress=not arguments.quiet,
        )
        model.save(folder / "model")
        adata.write_h5ad(folder / "fitted.h5ad")
        _draw(adata, model, folder)
        summary = _summary_of_fit(adata, model, arguments, folder, start)
        (folder / "summary.json").write_text(_json(summary))
    return summary


def _read_cohort(arguments: argparse.Namespace) -> ad.AnnData:
    adata = read_h5ad(arguments.data)
    for name in _COLUMNS:
        given = getattr(arguments, name) or []
        for column in [given] if isinstance(given, str) else given:
            check_column(adata, arguments.data, column, f"--{name.replace('_', '-')}")
    return adata


def _draw(adata: ad.AnnData, model: MetaFlowMatching, folder: Path) -> None:
    ct.pl.history(adata, key="response", show=False, save=folder / "history.png")
    if model.encoder is not None:
        embedded = ct.tl.embed_populations(model, adata)
        ct.pl.populations(embedded, show=False, save=folder / "populations.png")


def _summary_of_fit(
    adata: ad.AnnData,
    model: MetaFlowMatching,
    arguments: argparse.Namespace,
    folder: Path,
    start: float,
) -> dict[str, Any]:
    written = [p.relative_to(folder) for p in folder.rglob("*") if p.is_file()]
    return {
        "files": [str(arguments.out / p) for p in sorted([*written, Path("summary.json")])],
        "n_cells": adata.n_obs,
        "populations": list(model.support.names),
        "conditions": list(model.conditions),
        "use_rep": adata.uns["celltraj"]["response"]["params"]["use_rep"],
        "steps": len(model.losses),
        **_common(arguments, start),
    }


def _common(arguments: argparse.Namespace, start: float) -> dict[str, Any]:
    return {
        "warnings": arguments.warnings,
        "seed": arguments.seed,
        "seconds": round(time.perf_counter() - start, 3),
        "version": ct.__version__,
    }


def _json(summary: dict[str, Any]) -> str:
    return json.dumps(summary, allow_nan=False)


def predict(arguments: argparse.Namespace) -> None:
    """Predict treated cells from untreated ones."""
    start, out = time.perf_counter(), arguments.out
    if out.is_dir():
        raise ValueError(f"--out {out} is a folder; pass the path of a file to write")
    reads = [arguments.data, *files_of_model(arguments.model)]
    check_writable(out.parent, [out.name], reads=reads)
    for folder in (arguments.data.parent, arguments.model.parent):
        finish_swaps(folder)
    with writing(out, is_file=True) as lock:
        predicted = _predicted(arguments, lock)
    support = predicted.uns["celltraj"]["response"]["support"]
    condition = str(predicted.obs["condition"].iloc[0])
    logger.info("wrote %d cells under %s to %s", predicted.n_obs, condition, out)
    if not arguments.json:
        print(support.to_string(index=False))
        return
    facts = {
        "files": [str(out)],
        "n_cells": predicted.n_obs,
        "populations": support["population"].tolist(),
        "condition": condition,
        "support": _rows(support),
    }
    print(_json(facts | _common(arguments, start)))


def _predicted(arguments: argparse.Namespace, lock: Lock) -> ad.AnnData:
    """Return the predicted cells, which are written."""
    model = _load(arguments.model)
    adata = read_h5ad(arguments.data)
    covariates = _covariates(model, adata, dict(arguments.covariate))
    with staged(lock, ()) as folder:
        predicted = ct.tl.predict_response(
            model,
            adata,
            condition=arguments.condition,
            dose=arguments.dose,
            covariates=covariates,
            guidance=arguments.guidance,
            noise=arguments.noise,
            seed=arguments.seed,
            progress=not arguments.quiet,
        )
        predicted.write_h5ad(folder / arguments.out.name)
    return predicted


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows for JSON, which has no NaN and no infinity: they become null."""
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records"))
    return rows


def _load(path: Path) -> MetaFlowMatching:
    """Read a response.

    Raises
    ------
    FileNotFoundError
        The folder holds no model.
    ValueError
        The model is incomplete, or no response.
    """
    try:
        model = ct.load(path)
    except FileNotFoundError as error:
        nested = path / "model"
        hint = f"; the model of a fit is in {nested}" if nested.is_dir() else ""
        raise FileNotFoundError(f"{error}{hint}") from error
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        # what is raised depends on where a file was cut off
        raise ValueError(
            f"cannot read the model in {path} ({error}); it is incomplete or of another version, "
            "write it again with model.save"
        ) from error
    if not isinstance(model, MetaFlowMatching) or model.source is None:
        what = "a response fitted to tensors" if isinstance(model, MetaFlowMatching) else "a model"
        raise ValueError(
            f"{path} holds {what} that cannot be predicted from ({type(model).__name__}); fit one "
            "with celltraj fit-response"
        )
    return model


def _covariates(
    model: MetaFlowMatching, adata: ad.AnnData, given: dict[str, str]
) -> dict[str, str | float]:
    """Return the covariates as given, as numbers where the training had numbers."""
    for one in model.coder.covariates:
        if one.name not in given and one.name not in adata.obs:
            raise ValueError(
                f"the response needs the covariate {one.name!r}, and there is no such obs column; "
                f"pass --covariate {one.name}=..."
            )
    numbers = {one.name for one in model.coder.covariates if not one.categories}
    try:
        return {name: float(v) if name in numbers else v for name, v in given.items()}
    except ValueError as error:
        raise ValueError(f"--covariate: {error}; the training had numbers there") from error
