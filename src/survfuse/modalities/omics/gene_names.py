"""How a gene matrix and gene sets name genes, and why the names may not meet."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

ENSEMBL = re.compile(r"ENS[A-Z]*[GTP]\d{6,}(\.\d+)?(_PAR_Y)?")
VERSION = re.compile(r"(?<=\d)\.\d+(_PAR_Y)?$")
SHOWING = 0.5  # share of names that show how a table names genes
GAIN = 0.1  # share of the genes of the sets that a rewriting must add to be worth telling

# How names could be rewritten, those of the sets as well where that helps.
REWRITINGS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("in upper case", str.upper),
    ("without the version of Ensembl ids", lambda name: VERSION.sub("", name)),
    ("cut before the bar", lambda name: name.partition("|")[0]),
    ("cut after the bar", lambda name: name.rpartition("|")[2]),
    ("cut before the last underscore (see omics.suffixes)", lambda name: name.rpartition("_")[0]),
    ("with hyphens for points", lambda name: name.replace(".", "-")),
)


def why_apart(measured: Collection[str], wanted: Collection[str]) -> str | None:
    """A sentence on why few of the wanted genes are measured, or None where nothing explains it."""
    here, there = naming_of(measured), naming_of(wanted)
    if here != there:
        return f"The matrix names genes by {here}, the gene sets by {there}."
    wanted = set(wanted)
    best, sentence = len(wanted & set(measured)) + GAIN * len(wanted), None
    for how, rewritten in REWRITINGS:
        names = {rewritten(name) for name in measured} - {""}
        met = sum(name in names or rewritten(name) in names for name in wanted)
        if met > best:
            best, sentence = met, f"Names {how} would make it {met} of {len(wanted)}."
    return sentence


def naming_of(names: Collection[str]) -> str:
    """What most names are: Entrez numbers, Ensembl ids or symbols."""
    numbers = sum(name.isdigit() for name in names)
    ensembl = sum(ENSEMBL.fullmatch(name) is not None for name in names)
    if numbers > SHOWING * len(names):
        return "Entrez numbers"
    return "Ensembl ids" if ensembl > SHOWING * len(names) else "symbols"
