"""What happens to patients who have the event of an endpoint, in words for a sentence."""

from __future__ import annotations

import re

from survfuse.core.messages import marked

DEMENTIA = marked("have converted to dementia")
# What an endpoint is named or defined by, and what its patients then have done, in this order: who
# has a progression or dies is told of both.
MEANINGS = (
    (r"progression", r"death|died|surviv|\bpfs\b", marked("have had a progression or have died")),
    (r"\bpfs\b", r"", marked("have had a progression or have died")),
    (
        r"recurrence|relapse",
        r"death|died|surviv|\brfs\b",
        marked("have had a recurrence or have died"),
    ),
    (r"\b(rfs|dfs)\b|disease-free", r"", marked("have had a recurrence or have died")),
    (r"progression", r"", marked("have had a progression")),
    (r"recurrence|relapse", r"", marked("have had a recurrence")),
    (r"metasta", r"", marked("have had a metastasis")),
    (r"dementia", r"", DEMENTIA),
    (r"conver", r"", marked("have converted")),
    (r"disease-specific|cancer-specific|\b(dss|css)\b", r"", marked("have died of the disease")),
    (r"overall survival|\bos\b|death|died|mortality", r"", marked("have died")),
)
UNKNOWN = marked("have had the event")

# The same for those who are no experts.
PLAIN = {
    "have had a progression or have died": marked("have seen the illness get worse, or have died"),
    "have had a recurrence or have died": marked("have seen the illness come back, or have died"),
    "have had a progression": marked("have seen the illness get worse"),
    "have had a recurrence": marked("have seen the illness come back"),
    "have had a metastasis": marked("have seen the illness spread in the body"),
    DEMENTIA: marked("have developed dementia"),
    "have converted": marked("have got the condition that the study looked for"),
    "have died of the disease": marked("have died of the illness"),
    UNKNOWN: marked("have had what the study looked for"),
}


def event_words(name: str, definition: str) -> str:
    """The words for an endpoint of this name and definition, such as "have died".

    Its name counts before its definition, which also tells of other causes and of the start.
    """
    for text in (name, f"{name} {definition}"):
        for pattern, also, words in MEANINGS:
            if re.search(pattern, text, re.I) and re.search(also, text, re.I):
                return words
    return UNKNOWN
