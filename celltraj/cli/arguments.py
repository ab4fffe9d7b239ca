"""What the commands take. What they do is loaded once one of them runs."""

from __future__ import annotations

import argparse

import celltraj as ct
from celltraj.cli.options import components, lineage, response, time_course
from celltraj.cli.types import Parser

_ADDED = (
    time_course.add_demo,
    time_course.add_fit,
    time_course.add_evaluate,
    time_course.add_simulate,
    lineage.add_couplings,
    lineage.add_fates,
    lineage.add_transitions,
    lineage.add_drivers,
    response.add_fit,
    response.add_predict,
    response.add_embed,
    response.add_cross_validate,
    components.add_pca,
    components.add_decode,
    time_course.add_report,
)


def parser_of_commands() -> argparse.ArgumentParser:
    """Return the parser of the command line, whose ``run`` is what a command does."""
    parser = Parser(prog="celltraj", description=ct.__doc__)
    parser.add_argument("--version", action="version", version=f"celltraj {ct.__version__}")
    commands = parser.add_subparsers(required=True)
    for add in _ADDED:
        add(commands)
    return parser
