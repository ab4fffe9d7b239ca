"""The shell: ``celltraj``, whose commands are listed in ``celltraj.cli.arguments``."""

from __future__ import annotations

import logging
import os
import time
import warnings
from functools import partial

import celltraj as ct
from celltraj.cli.arguments import parser_of_commands
from celltraj.cli.processes import memory_of, processes_of


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status.

    Results go to ``--out``, a table of the main numbers to stdout, or with ``--json`` one object
    that also names the files; everything else goes to stderr. A failure ends with status 2, one
    line that says what mends it, and what stood in ``--out`` as it was; once a training was under
    way, its checkpoint stays for ``--resume``.
    """
    # operations are small, and threads that share cores with another process wait for each other at
    # every one of them; read by libraries that are first imported by a command
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = parser_of_commands()
    arguments = parser.parse_args(argv)
    arguments.warnings, arguments.began = [], time.perf_counter()
    logging.basicConfig(format="%(name)s: %(message)s")
    logging.getLogger("celltraj").setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", ct.DataWarning)
            warnings.showwarning = partial(_show_warning, arguments.warnings)
            with memory_of(arguments), processes_of(arguments):
                arguments.run(arguments)
    except (
        KeyError,
        ValueError,
        OSError,
        MemoryError,
        ct.ConvergenceError,
        ct.RefinementError,
        ct.TrainingError,
    ) as error:
        # a KeyError shows its message in quotes
        message = error.args[0] if isinstance(error, KeyError) else str(error)
        parser.exit(2, f"celltraj: {_in_one_line(message)}\n")
    except KeyboardInterrupt:
        hint = "; fit goes on from its checkpoint with --resume"
        is_fit = hasattr(arguments, "checkpoint_every")
        parser.exit(130, f"celltraj: interrupted{hint if is_fit else ''}\n")
    return 0


def _show_warning(
    noted: list[str], message: Warning | str, category: type[Warning], *place: object
) -> None:
    """Show a warning as one line, and note one about data for a summary.

    The place in the code means nothing in a shell.
    """
    text = _in_one_line(message)
    logging.getLogger("celltraj").warning("%s", text)
    if issubclass(category, ct.DataWarning):
        noted.append(text)


def _in_one_line(message: object) -> str:
    return " ".join(str(message).split())
