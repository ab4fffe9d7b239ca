"""Read a saved model, and say in one line what is wrong with one."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError

import celltraj as ct
from celltraj.models import Arms, Bridge, FlowMatching, MeanFieldBridges, MetaFlowMatching


def read_response(path: Path) -> MetaFlowMatching:
    """Read a response.

    Raises
    ------
    FileNotFoundError
        The folder holds no model.
    ValueError
        The model is incomplete, or no response.
    """
    model = _read(path)
    if not isinstance(model, MetaFlowMatching) or model.source is None:
        what = "a response fitted to tensors" if isinstance(model, MetaFlowMatching) else "a model"
        raise ValueError(
            f"{path} holds {what} that cannot be predicted from ({type(model).__name__}); fit one "
            "with celltraj fit-response"
        )
    return model


def read_process(path: Path) -> Bridge | FlowMatching:
    """Read a bridge or a flow.

    Raises
    ------
    FileNotFoundError
        The folder holds no model.
    ValueError
        The model is incomplete, or a response.
    """
    model = _read(path)
    if isinstance(model, MetaFlowMatching):
        raise ValueError(
            f"{path} holds a response, which has no times to go through; predict from it with "
            "celltraj predict, or fit a bridge or flow with celltraj fit"
        )
    if isinstance(model, Arms):
        raise ValueError(
            f"{path} holds courses under {len(model)} conditions; save that of one by itself, "
            "ct.load(folder)[condition].save(other_folder)"
        )
    if isinstance(model, MeanFieldBridges):
        raise ValueError(
            f"{path} holds {len(model)} populations; save the bridge of one by itself, "
            "ct.load(folder)[population].save(other_folder)"
        )
    return model


def _read(path: Path) -> Arms | Bridge | FlowMatching | MeanFieldBridges | MetaFlowMatching:
    try:
        return ct.load(path)
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
