"""One place in AnnData, and the name that everything in ``uns`` is below."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """Describe one place in AnnData.

    Parameters
    ----------
    slot
        ``"obs"``, ``"obsm"``, ``"layers"`` or ``"uns"``.
    path
        The key, or the keys from the outermost dict inwards.
    content
        What is there.
    unit
        Its unit, ``"-"`` where there is none.
    written_by
        The function that writes it, ``"you"`` where the package only reads.
    """

    slot: str
    path: tuple[str, ...]
    content: str
    unit: str
    written_by: str

    def at(self, **values: str) -> tuple[str, ...]:
        """Return the path with its braces filled in.

        Examples
        --------
        >>> from celltraj._anndata.key import Key
        >>> Key("obsm", ("X_{key}_velocity",), "drift", "[x]/[t]", "you").at(key="bridge")
        ('X_bridge_velocity',)
        """
        return tuple(part.format(**values) for part in self.path)


RECORD = {  # what every record holds besides its own
    "kind": "what it is a result of, such as `fates`",
    "places": "slots and names that it fills, such as `obsm ct_fates`; absent where none",
    "source": "digests of the names and states of the cells that it was computed from, `(n,)` "
    "uint32, their times and numbers `(T,)`, use_rep, time_key; absent where none were read",
}
ROOT = "celltraj"  # everything in uns is below this key
PROJECTION = "projection"  # the record of the way from genes to components and back


def record_keys(name: str, fields: dict[str, str], written_by: str) -> tuple[Key, ...]:
    """Return the keys of the fields of a record."""
    return tuple(
        Key("uns", (ROOT, name, field), content, "-", written_by)
        for field, content in fields.items()
    )
