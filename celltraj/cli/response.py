"""The commands for treatment responses: ``celltraj fit-response | predict | embed``."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import anndata as ad
import pandas as pd

import celltraj as ct
from celltraj.cli.files import (
    CHECKPOINT,
    check_column,
    check_training,
    earlier_results,
    read_h5ad,
)
from celltraj.cli.lock import Lock
from celltraj.cli.options.response import COUPLINGS, ENCODERS
from celltraj.cli.result_file import write_result, writing_file
from celltraj.cli.saved_model import read_response
from celltraj.cli.summary import as_json, common, rows, say, staged_files
from celltraj.cli.swap import finish_swaps, staged, writing
from celltraj.models import (
    Condition,
    MetaFlowMatching,
    ResponseOptions,
    TrainerOptions,
    Training,
    remove_checkpoint,
)
from celltraj.models.encoders import Encoder

T = TypeVar("T")
logger = logging.getLogger("celltraj")
_SUMMARY = "summary.json"
_COLUMNS = ("population", "condition", "dose", "covariate", "cell_type", "survival")


def fit(arguments: argparse.Namespace) -> None:
    """Fit the response to treatments."""
    check_training(arguments.out, reads=[arguments.data])
    finish_swaps(arguments.data.parent)
    with writing(arguments.out) as lock:
        summary = _fit_and_draw(read_cohort(arguments), arguments, lock)
        remove_checkpoint(arguments.out / CHECKPOINT)
    # as it stands in the file, the seconds too
    text = "\n".join(f"{name}: {value}" for name, value in summary.items())
    print(as_json(summary) if arguments.json else text)


def _fit_and_draw(adata: ad.AnnData, arguments: argparse.Namespace, lock: Lock) -> dict[str, Any]:
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
            options=options_of(arguments),
            training=Training(max_steps=arguments.max_steps, trainer=trainer),
            seed=arguments.seed,
            progress=not arguments.quiet,
        )
        model.save(folder / "model")
        adata.write_h5ad(folder / "fitted.h5ad")
        _draw(adata, model, folder)
        (folder / _SUMMARY).touch()  # listed in itself
        summary = _summary_of_fit(adata, model, arguments, folder)
        (folder / _SUMMARY).write_text(as_json(summary))
    return summary


def read_cohort(arguments: argparse.Namespace) -> ad.AnnData:
    """Read treated and untreated cells, with all columns that the options name."""
    adata = read_h5ad(arguments.data)
    for name in _COLUMNS:
        given = getattr(arguments, name) or []
        for column in [given] if isinstance(given, str) else given:
            check_column(adata, arguments.data, column, f"--{name.replace('_', '-')}")
    return adata


def options_of(arguments: argparse.Namespace) -> ResponseOptions:
    """Return how populations and conditions enter, as the options of a fit say."""
    solver = getattr(ct.ot, COUPLINGS[arguments.coupling])
    return ResponseOptions(
        encoder=_encoder(ENCODERS[arguments.encoder]),
        coupling=solver() if isinstance(solver, type) else solver,
        condition_features=_features(arguments),
        covariate_keys=tuple(arguments.covariate),
        n_models=arguments.ensemble,
        survival_key=arguments.survival,
    )


def _encoder(name: str | None) -> Encoder | Literal["auto"] | None:
    if name is None:
        return None
    if name == "auto":
        return "auto"
    found: Encoder = getattr(ct.models, name)()
    return found


def _features(arguments: argparse.Namespace) -> pd.DataFrame | None:
    """Return the numbers of each drug that a table holds.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no table of numbers.
    """
    path: Path | None = arguments.features
    if path is None:
        return None
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; give the path of a table after --features")
    try:
        return pd.read_csv(path, index_col=0).astype(float)
    except ValueError as error:
        raise ValueError(
            f"cannot read {path} ({error}); --features needs a csv table with the name of a drug "
            "in the first column and numbers in all others"
        ) from error


def _draw(adata: ad.AnnData, model: MetaFlowMatching, folder: Path) -> None:
    ct.pl.history(adata, key="response", show=False, save=folder / "history.png")
    if model.encoder is not None:
        embedded = ct.tl.embed_populations(adata, model)
        ct.pl.populations(embedded, show=False, save=folder / "populations.png")


def _summary_of_fit(
    adata: ad.AnnData,
    model: MetaFlowMatching,
    arguments: argparse.Namespace,
    folder: Path,
) -> dict[str, Any]:
    return {
        "files": staged_files(folder, arguments.out),
        "n_cells": adata.n_obs,
        "populations": list(model.support.names),
        "conditions": list(model.conditions),
        "use_rep": adata.uns["celltraj"]["response"]["params"]["use_rep"],
        "steps": len(model.losses),
        "networks": len(model.members),
        "base": model.strength,
        "base_reason": model.reason,
        "encoder": "none" if model.encoder is None else type(model.encoder).__name__,
        "encoder_reason": model.encoder_reason,
        **common(arguments),
    }


def predict(arguments: argparse.Namespace) -> None:
    """Predict treated cells from untreated ones."""
    out = arguments.out
    with writing_file(out, data=[arguments.data], model=arguments.model) as lock:
        predicted = _predicted(arguments, lock)
    support = predicted.uns["celltraj"]["response"]["support"]
    conditions = predicted.obs["condition"].cat.categories.astype(str).tolist()
    logger.info("wrote %d cells under %s to %s", predicted.n_obs, ", ".join(conditions), out)
    facts = {
        "files": [str(out)],
        "n_cells": predicted.n_obs,
        "populations": support["population"].tolist(),
        "condition": conditions[0] if len(conditions) == 1 else None,
        "conditions": conditions,
        "support": rows(support),
    }
    if "killed" in predicted.uns["celltraj"]["response"]:
        facts["killed"] = rows(ct.get.killed(predicted))
    say(arguments, facts, support.to_string(index=False))


def _predicted(arguments: argparse.Namespace, lock: Lock) -> ad.AnnData:
    """Return the predicted cells, which are written."""
    model = read_response(arguments.model)
    adata = _matched(read_h5ad(arguments.data), model, arguments)
    covariates = _covariates(model, adata, dict(arguments.covariate))
    with staged(lock, ()) as folder:
        predicted = ct.tl.predict_response(
            adata,
            model,
            condition=_conditions(arguments),
            covariates=covariates,
            condition_features=_features(arguments),
            guidance=arguments.guidance,
            noise=arguments.noise,
            seed=arguments.seed,
            progress=not arguments.quiet,
        )
        predicted.write_h5ad(folder / arguments.out.name)
    return predicted


def _matched(
    adata: ad.AnnData, model: MetaFlowMatching, arguments: argparse.Namespace
) -> ad.AnnData:
    """Return the cells, with ``--strict`` once they are known to lack no variable."""
    if not arguments.strict:
        return adata
    return ct.pp.match_variables(adata, like=model, max_missing=0.0)


def _conditions(arguments: argparse.Namespace) -> list[Condition]:
    """Return what is asked for: drugs given together, and their doses.

    Raises
    ------
    ValueError
        Neither as many doses as conditions, nor one of either.
    """
    drugs, doses = arguments.condition, arguments.dose or [()]
    if len(drugs) != len(doses) and min(len(drugs), len(doses)) > 1:
        raise ValueError(
            f"--dose belongs to each --condition, to all of them or is told several times of one; "
            f"found {len(doses)} of {len(drugs)} conditions"
        )
    n = max(len(drugs), len(doses))
    pairs = zip(_repeated(drugs, n), _repeated(doses, n), strict=True)
    return [Condition(tuple(names), tuple(amounts)) for names, amounts in pairs]


def _repeated(values: Sequence[Sequence[T]], n: int) -> list[Sequence[T]]:
    return list(values) * n if len(values) == 1 else list(values)


def embed(arguments: argparse.Namespace) -> None:
    """Place populations by their untreated cells."""
    out = arguments.out
    with writing_file(out, data=[arguments.data], model=arguments.model) as lock:
        model = read_response(arguments.model)
        adata = _matched(read_h5ad(arguments.data), model, arguments)
        embedded = ct.tl.embed_populations(adata, model)
        table = embedded.obs.reset_index(drop=True).join(
            pd.DataFrame(embedded.X, columns=embedded.var_names)
        )
        write_result(lock, embedded, table)
    facts = {
        "files": [str(out)],
        "n_cells": int(embedded.obs["n_cells"].sum()),
        "populations": rows(embedded.obs),
    }
    say(arguments, facts, embedded.obs.to_string(index=False))


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
