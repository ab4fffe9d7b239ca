"""Facts and tensors of a file, each compared with what it must be before anything is built.

A file may be damaged or made to harm: types, ranges and names of the facts are those of the
dataclass that they become, and shapes are those that the facts imply. Networks are built without
memory to learn their shapes, and take the tensors of the file as their weights.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

_LARGEST = 1_000_000  # of a size of a network: products of three of them are still numbers
_MOST = 2**53  # of a count, as in all JSON
_GREATEST = 1e150  # of a number: its square is one too
_SHOWN = 60  # characters of a value in a message
FLOAT64 = (torch.float64,)
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
Kind = TypeVar("Kind")
Network = TypeVar("Network", bound=torch.nn.Module)


def facts_as(
    kind: type[Kind], values: Any, where: str, given: Mapping[str, Any] | None = None
) -> Kind:
    """Return the dataclass ``kind`` that these facts describe.

    Every field is converted by its annotation: numbers are finite, whole ones not negative. A field
    that has a default may be missing; a name that is no field is refused.

    Parameters
    ----------
    kind
        A dataclass.
    values
        What the file says.
    where
        What to call it in a message.
    given
        Fields that do not come from the facts, such as tensors.

    Raises
    ------
    ValueError
        Something is missing, unknown, or no such value.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{where} must be an object; found {_shown(values)}")
    given = given or {}
    hints = typing.get_type_hints(kind)
    fields = {one.name: one for one in dataclasses.fields(cast("Any", kind)) if one.init}
    known = fields.keys() - given.keys()
    if unknown := sorted(values.keys() - known):
        raise ValueError(f"{where} has the unknown entry {_shown(unknown[0])}")
    needed = {name for name in known if _has_no_default(fields[name])}
    if missing := sorted(needed - values.keys()):
        raise ValueError(f"{where} has no {missing[0]}")
    read = {name: _as(hints[name], value, f"{where}: {name}") for name, value in values.items()}
    return kind(**read, **given)


def check_sizes(**sizes: int) -> None:
    """Raise unless the sizes of a network are such as a network may have.

    Raises
    ------
    ValueError
        One is greater than a million.
    """
    for name, size in sizes.items():
        if size > _LARGEST:
            raise ValueError(f"{name} must be at most {_LARGEST}; found {size}")


class Stored:
    """Hand out the tensors of a file, each once, with the shape and the type that it must have.

    Parameters
    ----------
    tensors
        What lies in the file.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors, self._prefix = dict(tensors), ""
        self._left = set(self._tensors)

    def below(self, prefix: str) -> Stored:
        """Return the tensors whose names begin with ``prefix``, without it."""
        part = Stored({})
        part._tensors, part._left = self._tensors, self._left
        part._prefix = self._prefix + prefix
        return part

    @property
    def names(self) -> set[str]:
        """Return the names of the tensors that are there."""
        start = len(self._prefix)
        return {name[start:] for name in self._tensors if name.startswith(self._prefix)}

    def shape(self, name: str, n_dims: int) -> tuple[int, ...]:
        """Return the shape of a tensor of ``n_dims`` dimensions.

        Raises
        ------
        ValueError
            There is none, or it has another number of dimensions.
        """
        found = tuple(self._found(name).shape)
        if len(found) != n_dims:
            raise ValueError(
                f"tensor {self._prefix + name!r} has shape {found}, not {n_dims} dimensions"
            )
        return found

    def sizes(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor, whatever it is.

        Raises
        ------
        ValueError
            There is none.
        """
        return tuple(self._found(name).shape)

    def take(
        self,
        name: str,
        *shape: int,
        dtypes: tuple[torch.dtype, ...] = FLOAT64,
        infinite: tuple[float, ...] = (),
    ) -> Tensor:
        """Return a copy of a tensor.

        Parameters
        ----------
        name
            Its name.
        shape
            The shape that it must have.
        dtypes
            Types that it may have.
        infinite
            Which of plus and minus infinity it may hold; NaN never.

        Raises
        ------
        ValueError
            It is not there or not such a tensor.
        """
        mapped = self._found(name)
        self._compare(name, mapped, shape, dtypes)
        tensor = mapped.clone()
        self._left.discard(self._prefix + name)
        if tensor.is_floating_point():
            is_fine = torch.isfinite(tensor)
            for value in infinite:
                is_fine |= tensor == value
            if not bool(is_fine.all()):
                raise ValueError(
                    f"tensor {self._prefix + name!r} holds numbers that are not finite"
                )
        return tensor

    def fill(self, build: Callable[[], Network]) -> Network:
        """Return the network that ``build`` makes, with all of these tensors as its state.

        Raises
        ------
        ValueError
            The tensors are not those of such a network.
        """
        with torch.device("meta"):
            network = build()
        wanted = network.state_dict()
        for name, value in wanted.items():
            self._compare(name, self._found(name), tuple(value.shape), _may_be(value.dtype))
        state = {
            name: self.take(name, *value.shape, dtypes=_may_be(value.dtype)).to(value.dtype)
            for name, value in wanted.items()
        }
        network.load_state_dict(state, assign=True)
        return network

    def finish(self) -> None:
        """Raise unless every tensor was asked for.

        Raises
        ------
        ValueError
            One was not.
        """
        if self._left:
            raise ValueError(f"nothing asks for the tensor {_shown(min(self._left))}")

    def _found(self, name: str) -> Tensor:
        if self._prefix + name not in self._tensors:
            raise ValueError(f"there is no tensor {self._prefix + name!r}")
        return self._tensors[self._prefix + name]

    def _compare(
        self, name: str, found: Tensor, shape: tuple[int, ...], dtypes: tuple[torch.dtype, ...]
    ) -> None:
        if tuple(found.shape) != shape or found.dtype not in dtypes:
            raise ValueError(
                f"tensor {self._prefix + name!r} is {found.dtype} {tuple(found.shape)}, the facts "
                f"ask for {dtypes[0]} {shape}"
            )


def _may_be(dtype: torch.dtype) -> tuple[torch.dtype, ...]:
    """Return the types that a file may hold for one: single precision becomes double as it is."""
    return (dtype, torch.float32) if dtype == torch.float64 else (dtype,)


def _as(hint: Any, value: Any, where: str) -> Any:
    """Return a value of JSON as what its annotation says."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _as_one_of(inside, value, where)
    if origin in (tuple, list):
        return _as_row(origin, inside, value, where)
    if origin is dict:
        pairs = _expect(dict, value, where, "an object").items()
        return {name: _as(inside[1], one, f"{where}: {_shown(name)}") for name, one in pairs}
    if dataclasses.is_dataclass(hint):
        return facts_as(cast("Any", hint), value, where)
    if hint is Any:
        return value
    if hint is float:
        return _finite(value, where)
    if hint is int:
        count = _expect(int, value, where, "a whole number")
        if not 0 <= count <= _MOST:
            raise ValueError(f"{where} must be a count; found {_shown(count)}")
        return count
    return _expect(hint, value, where, {str: "text", bool: "true or false"}[hint])


def _as_one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and types.NoneType in kinds:
        return None
    (kind,) = (one for one in kinds if one is not types.NoneType)
    return _as(kind, value, where)


def _as_row(origin: type, inside: tuple[Any, ...], value: Any, where: str) -> Any:
    values = _expect(list, value, where, "a list")
    is_open = origin is list or inside[-1] is Ellipsis
    if not is_open and len(values) != len(inside):
        raise ValueError(f"{where} must have {len(inside)} entries; found {len(values)}")
    hints = [inside[0]] * len(values) if is_open else inside
    return origin(_as(hint, one, where) for hint, one in zip(hints, values, strict=True))


def _finite(value: Any, where: str) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not abs(value) <= _GREATEST:
        raise ValueError(f"{where} must be a finite number, not huge; found {_shown(value)}")
    return float(value)


def _expect(kind: type, value: Any, where: str, what: str) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{where} must be {what}; found {_shown(value)}")
    return value


def _has_no_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _shown(value: Any) -> str:
    """Return a value for a message, however long it is."""
    if isinstance(value, int) and not math.log2(abs(value) + 1) < _SHOWN * 3:
        return "a number of very many digits"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
