"""Which words pages may not use, by language; `wording.lint` applies them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Rules:
    """Patterns, of which case is ignored.

    forbidden: with the reason. significance: allowed beside the name of a test alone. risk: in
    words, allowed beside a number alone. level: of an interval, whose percentage needs nothing.
    Other percentages need a horizon and a denominator in the sentence.
    """

    forbidden: Mapping[str, str]
    significance: str
    tests: str
    risk: str
    level: str
    horizon: str
    denominator: str

    @cached_property
    def suspect(self) -> re.Pattern[str]:
        """What a sentence says that has to be looked at closer; most say nothing of it."""
        patterns = (*self.forbidden, self.significance, self.risk, "%")
        return re.compile("|".join(f"(?:{one})" for one in patterns), re.I)


PROMISE, ACCURACY = "promises a future", "claims accuracy"
PROOF, CAUSE = "claims proof", "claims a cause"
RULES = {
    "en": Rules(
        forbidden={
            r"\bwill\b": PROMISE,
            r"(?<!balanced )\baccura(te|tely|cy)\b": ACCURACY,
            r"\bprove[sdn]?\b": PROOF,
            r"(?<!\bnot )(?<!\bany )(?<!\ball )(?<!\bother )\bcause[sd]?\b": CAUSE,
        },
        significance=r"\bsignifican",
        tests=r"log-rank|Wald|permutation|t test|bootstrap|likelihood",
        risk=r"\b(low|high)(er)?[- ]risk\b",
        level=r"\d+(\.\d+)? % (confidence )?(interval|limit|level)s?",
        horizon=r"\b\d+(\.\d+)? (month|year)s?\b",
        denominator=r"\bof (every )?\d[\d,]* |\bn = \d",
    ),
    "de": Rules(
        forbidden={
            # "werden" alone makes the passive, too.
            r"\b(werden|wird|wirst|werde)\b[^.:;]*\b(sterben|überleben|leben|erkranken|genesen|"
            r"eintreten|auftreten|zurückkehren|haben|sein)\b": PROMISE,
            r"\b(hoch)?(genau(igkeit|e[rsnm]?)|präzis\w*|akkurat\w*|treffsicher\w*)\b": ACCURACY,
            r"\b(beweis\w*|bewies\w*|bewiesen\w*)\b": PROOF,
            r"\b(verursach\w*|Ursachen?)\b": CAUSE,
        },
        significance=r"\bsignifikan",
        tests=r"Log-Rank|Wald|Permutation|t-Test|Bootstrap|Likelihood",
        risk=r"\b(niedrig|gering|hoh|hoch|niedriger|höher)\w*[- ]?risik",
        level=r"\d+(,\d+)?\s?-?%-?\s?(Konfidenz)?intervalls?",
        horizon=r"\b\d+(,\d+)? (Monat|Jahr)(e[ns]?)?\b",
        denominator=r"\bvon (je )?\d[\d.]* |\bn = \d",
    ),
}
