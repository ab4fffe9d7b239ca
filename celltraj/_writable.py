"""Where files can be written is known before the work whose results they are to hold."""

from __future__ import annotations

import os
from pathlib import Path


def check_folder(folder: Path) -> None:
    """Raise where a folder takes no files, or cannot be made.

    Raises
    ------
    NotADirectoryError
        It is a file, or lies in one.
    PermissionError
        Nothing can be written there.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import NamedTemporaryFile
    >>> from celltraj._writable import check_folder
    >>> check_folder(Path("results"))
    >>> with NamedTemporaryFile() as file:
    ...     check_folder(Path(file.name) / "results")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    NotADirectoryError: ...results is, or lies in, a file and cannot be a folder; choose another \
folder
    """
    nearest = next(one for one in (folder, *folder.absolute().parents) if os.path.lexists(one))
    if not nearest.is_dir():
        raise NotADirectoryError(
            f"{folder} is, or lies in, a file and cannot be a folder; choose another folder"
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(
            f"nothing can be written to {nearest}; choose another folder, or change its permissions"
        )


def check_file(path: Path) -> None:
    """Raise where a file cannot be written, or cannot be replaced.

    Raises
    ------
    NotADirectoryError, PermissionError
        As :func:`check_folder` has it, or the file is there and can only be read.
    """
    check_folder(path.parent)
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"{path} is there and can only be read; choose another name")
