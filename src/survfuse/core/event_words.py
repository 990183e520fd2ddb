"""What happens to patients who have the event of an endpoint, in words for a sentence."""

from __future__ import annotations

import re

# What an endpoint is named or defined by, and what its patients then have done, in this order: who
# has a progression or dies is told of both.
MEANINGS = (
    (r"progression", r"death|died|surviv|\bpfs\b", "have had a progression or have died"),
    (r"\bpfs\b", r"", "have had a progression or have died"),
    (r"recurrence|relapse", r"death|died|surviv|\brfs\b", "have had a recurrence or have died"),
    (r"\b(rfs|dfs)\b|disease-free", r"", "have had a recurrence or have died"),
    (r"progression", r"", "have had a progression"),
    (r"recurrence|relapse", r"", "have had a recurrence"),
    (r"metasta", r"", "have had a metastasis"),
    (r"dementia", r"", "have converted to dementia"),
    (r"conver", r"", "have converted"),
    (r"disease-specific|cancer-specific|\b(dss|css)\b", r"", "have died of the disease"),
    (r"overall survival|\bos\b|death|died|mortality", r"", "have died"),
)
UNKNOWN = "have had the event"


def event_words(name: str, definition: str) -> str:
    """The words for an endpoint of this name and definition, such as "have died".

    Its name counts before its definition, which also tells of other causes and of the start.
    """
    for text in (name, f"{name} {definition}"):
        for pattern, also, words in MEANINGS:
            if re.search(pattern, text, re.I) and re.search(also, text, re.I):
                return words
    return UNKNOWN
