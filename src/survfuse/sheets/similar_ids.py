"""Ids that would be the same but for zeros, case, separators, a prefix or a suffix."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

LEAST_SHARE = 0.1  # of the ids without a partner; fewer alike ids are coincidence
BARCODE = re.compile(r"(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})-.+", re.IGNORECASE)

Change = Callable[[str], str]


def cut(pattern: str) -> Change:
    """The change that removes what fits a pattern."""
    return lambda text: re.sub(pattern, "", text)


def barcode(text: str) -> str:
    """The patient's barcode of a TCGA sample, portion or slide; other texts as they are."""
    sample = BARCODE.fullmatch(text)
    return sample[1].upper() if sample else text


def number(text: str) -> str:
    """The first number of an id, without its zeros in front."""
    return (re.findall(r"[1-9][0-9]*", text) or [text])[0]


# What is changed, in words, and the change, from the least to the most.
CHANGES: tuple[tuple[str, Change], ...] = (
    ("writing them in the same case", str.casefold),
    ("writing numbers with the same zeros", cut(r"(?<![0-9])0+(?=[0-9])")),
    ("cutting sample barcodes to the patient's (TCGA-XX-XXXX)", barcode),
    ("using the same separators", cut(r"[-_. /]")),
    ("removing what follows the last separator", cut(r"[-_. /][^-_. /]+$")),
    ("removing what stands before the number", cut(r"^[^0-9]+0*")),
    ("removing all but the number", number),
)


def hint(ids: Collection[str], others: Collection[str]) -> str:
    """How many of `ids` would be among `others` after which change, as a clause; "" for few.

    Both are cleared of the ids that are the same. The example shows the shape of two such ids, as
    an id may be a name: letters are A, digits 9.
    """
    alone, free = set(ids) - set(others) - {""}, set(others) - set(ids)
    best = 0
    described = ""
    for words, change in CHANGES:
        partners: dict[str, str] = {}
        for text in sorted(free):
            partners.setdefault(change(text), text)
        pairs = [
            (text, partners[change(text)]) for text in sorted(alone) if change(text) in partners
        ]
        if len(pairs) > best and len(pairs) >= LEAST_SHARE * len(alone):
            best = len(pairs)
            described = (
                f"{best} of {len(alone)} would match after {words}, "
                f"like {shape(pairs[0][0])} and {shape(pairs[0][1])}"
            )
    return described


def shape(text: str) -> str:
    """An id with its letters as A or a and its digits as 9."""
    upper = re.sub(r"[^\W\d_]", lambda m: "A" if m[0].isupper() else "a", text[:40])
    return re.sub(r"\d", "9", upper)
