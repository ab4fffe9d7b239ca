"""Arrays at the public border: what users may pass, and the tensors that the core computes with."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
import torch
from scipy.sparse import issparse
from torch import Tensor

ArrayLike = Tensor | np.ndarray | Sequence[Any]

if TYPE_CHECKING:  # fields that a class converts: what they become, and what they may be given as
    Converted = Tensor
    ConvertedAll = tuple[Tensor, ...]
else:
    Converted = ArrayLike
    ConvertedAll = Sequence[ArrayLike]

P = ParamSpec("P")
R = TypeVar("R")
# annotations of parameters that hold coordinates, masses or weights
_ALIASES = ("Cells", "Targets", "Earlier", "Later", "Column", "Plan", "Tensor")


def as_floats(
    values: Any,
    name: str,
    shape: str | None = None,
    *,
    dtype: torch.dtype | None = torch.float64,
    is_finite: bool = True,
) -> Tensor:
    """Return numbers as a tensor of floats.

    Parameters
    ----------
    values
        Tensor, array or nested lists of real numbers.
    name
        What they are, for an error.
    shape
        Such as ``"(n, d)"``: so many axes, none of them empty; any shape by default.
    dtype
        Of the tensor; None keeps that of a tensor of floats.
    is_finite
        Whether NaN and infinite values are refused.

    Raises
    ------
    TypeError
        They are no real numbers: texts, objects, booleans, complex numbers, or a sparse matrix.
    ValueError
        Another number of axes, nothing along one, rows of unequal length, NaN or infinite values,
        or a tensor on a GPU or another device, since what is solved with them is on the CPU.

    Examples
    --------
    >>> from celltraj._arrays import as_floats
    >>> as_floats([[0, 1]], "x", "(n, d)")
    tensor([[0., 1.]], dtype=torch.float64)
    """
    found = values if isinstance(values, Tensor) else _tensor(values, name)
    if found.device.type != "cpu":
        raise ValueError(
            f"{name} must be on the CPU, where it is computed with; found a tensor on "
            f"{found.device}, which .cpu() moves"
        )
    if found.dtype is torch.bool or found.is_complex():
        raise TypeError(
            f"{name} must hold real numbers; found {found.dtype}, which .astype(float) converts"
        )
    if not found.is_floating_point():
        found = found.double()
    found = found if dtype is None else found.to(dtype)
    if shape is not None:
        _check_axes(found, name, shape)
    if is_finite and not bool(torch.isfinite(found).all()):
        n_bad = int((~torch.isfinite(found)).sum())
        raise ValueError(
            f"{name} must be finite; found {n_bad} NaN or infinite values of {found.numel()}"
        )
    return found


def as_rows(values: ArrayLike, n: int, name: str) -> Tensor:
    """Return ``(n,)`` or ``(n, k)`` values of ``n`` cells as float64, NaN among them or not.

    Raises
    ------
    TypeError
        They are no real numbers.
    ValueError
        Another number of cells.
    """
    found = as_floats(values, name, is_finite=False)
    if found.ndim not in (1, 2) or len(found) != n:
        raise ValueError(
            f"{name} must hold a row for each of the {n} cells, (n,) or (n, k); found shape "
            f"{tuple(found.shape)}"
        )
    return found


def as_array(values: Any, name: str, shape: str) -> np.ndarray:
    """Return numbers as a float64 array, of a GPU too, refused as by :func:`as_floats`."""
    here = values.detach().cpu() if isinstance(values, Tensor) else values
    return as_floats(here, name, shape).numpy()


def _tensor(values: Any, name: str) -> Tensor:
    if issparse(values):
        raise TypeError(f"{name} must be dense; found a sparse matrix, which .toarray() converts")
    if isinstance(values, list | tuple) and values and isinstance(values[0], Tensor):
        return torch.stack([torch.as_tensor(part) for part in values])
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must have rows of equal length; {error}") from error
    if array.dtype.kind not in "fiu":
        raise TypeError(
            f"{name} must hold real numbers; found {type(values).__name__} of {array.dtype}"
        )
    # float16 and long double have no good tensor, and a view of the user's array could change
    return torch.from_numpy(array.astype(np.float64))


def _check_axes(values: Tensor, name: str, shape: str) -> None:
    n_axes = len([axis for axis in shape.strip("()").split(",") if axis.strip()])
    if values.ndim != n_axes or 0 in values.shape:
        hint = ""
        if n_axes == 2 and values.ndim == 1:
            hint = "; x[:, None] makes one variable of it, x[None] one cell"
        raise ValueError(
            f"{name} must have shape {shape}, none of it empty; found {tuple(values.shape)}{hint}"
        )


def takes_arrays(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function of tensors take arrays and lists of numbers as well.

    Parameters whose annotation is one of tensors are converted by :func:`as_floats`; tensors are
    passed as they are.

    Examples
    --------
    >>> from torch import Tensor
    >>> from celltraj._arrays import takes_arrays
    >>> @takes_arrays
    ... def double(x: Tensor) -> Tensor:
    ...     return 2 * x
    >>> double([1, 2])
    tensor([2., 4.], dtype=torch.float64)
    """
    signature = inspect.signature(function)
    names = [name for name, p in signature.parameters.items() if _is_array(p.annotation)]
    places = [list(signature.parameters).index(name) for name in names]

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        given = list(args)
        for name, place in zip(names, places, strict=True):
            if place < len(given) and _is_foreign(given[place]):
                given[place] = as_floats(given[place], name)
            elif _is_foreign(kwargs.get(name)):
                kwargs[name] = as_floats(kwargs[name], name)
        return function(*given, **kwargs)  # type: ignore[arg-type]

    return wrapper


def _is_array(annotation: object) -> bool:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return text.removesuffix(" | None") in _ALIASES


def _is_foreign(value: object) -> bool:
    return value is not None and not isinstance(value, Tensor)
