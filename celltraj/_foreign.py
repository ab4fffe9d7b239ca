"""Tell another package of the same import name from this one."""

from __future__ import annotations

from pathlib import Path

# the distribution of that name on the public index tracks cells in live images; these are modules
# of its that this package will never have
FOREIGN_DISTRIBUTION = "celltraj"
_FOREIGN_MODULES = ("celltraj_1apr21.py", "imageprep.py", "trajectory_legacy.py")


def refuse_foreign(folder: str) -> None:
    """Raise where another distribution has been installed into the folder of this package.

    pip writes both into one folder ``celltraj`` without a word, and a mixture of two packages
    fails anywhere. Every namespace asks, so that it is told even where ``__init__`` was replaced.

    Parameters
    ----------
    folder
        The folder of the package.

    Raises
    ------
    ImportError
        It holds modules of the other distribution.

    Examples
    --------
    >>> import celltraj
    >>> refuse_foreign(celltraj.__path__[0])
    """
    found = [name for name in _FOREIGN_MODULES if (Path(folder) / name).exists()]
    if found:
        raise ImportError(
            f"{folder} holds {', '.join(found)} of another package, the distribution "
            f"{FOREIGN_DISTRIBUTION!r} of the public index, which shadows this one; run 'pip "
            f"uninstall {FOREIGN_DISTRIBUTION}', then install this one with --force-reinstall"
        )
