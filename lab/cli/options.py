"""Options that several verbs have, each declared once."""

from __future__ import annotations

import argparse


def recipe(parser: argparse.ArgumentParser, *, help: str = "family/slug, or a TOML file") -> None:
    """A recipe, and the contract that it runs under."""
    parser.add_argument("recipe", metavar="RECIPE", help=help)
    contract(parser)


def contract(parser: argparse.ArgumentParser) -> None:
    """The contract."""
    parser.add_argument(
        "--contract", default="minidrive", help="whose source, networks and formula (default minidrive)"
    )


def novelty(parser: argparse.ArgumentParser) -> None:
    """Why a dead configuration may be run after all."""
    parser.add_argument(
        "--novelty",
        metavar="REASON",
        help="what is new about a dead lane's recipe, in 40 characters or more; it is kept",
    )


def caps(parser: argparse.ArgumentParser) -> None:
    """Most seconds of machine time."""
    parser.add_argument("--max-cost-per-cycle", type=float, default=1_200.0, metavar="S", help="of one cycle or batch")
    parser.add_argument("--max-total-cost", type=float, default=3_600.0, metavar="S", help="with what was done before")


def executor(parser: argparse.ArgumentParser) -> None:
    """Where jobs run."""
    parser.add_argument("--workers", type=int, default=2, help="processes here, where no scheduler is named")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster, tcp://host:port")
    parser.add_argument("--patience", type=float, default=60.0, metavar="S", help="how long a scheduler is waited for")
