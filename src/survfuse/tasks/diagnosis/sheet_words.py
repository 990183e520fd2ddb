"""The words of the sheet for a patient who is asked about a diagnosis."""

from __future__ import annotations

from survfuse.core.event_words import DEMENTIA
from survfuse.core.messages import marked
from survfuse.tasks.sheet_words import SheetWords

MEMORY_CLINIC = SheetWords(
    about=marked(
        "It is about memory and thinking: of people who are like you in what was examined, how "
        "many develop dementia in the time after, and how many do not."
    ),
    limits=marked(
        "It is no diagnosis. A number like this can be high although memory stays as it is, and "
        "low although it gets worse."
    ),
    whom=marked(
        "The team of the memory clinic knows such estimates and their limits. There are also "
        "advice centres on memory and dementia, for you and for those who are close to you; ask "
        "which of them is near."
    ),
    questions=(
        marked("What did the tests of my memory and the scans show without this number?"),
        marked("What else can make memory worse, and can it be treated?"),
        marked("When should my memory be tested again?"),
    ),
)
ANY = SheetWords(
    about=marked(
        "It is about a diagnosis: of people who are like you in what was examined, how many belong "
        "to which group."
    ),
    limits=marked("It is no diagnosis, and it replaces no examination."),
    whom=marked(
        "If the question itself worries you, say so. You need not wait for a next appointment to "
        "ask."
    ),
    questions=(
        marked("What did my examinations show without this number?"),
        marked("Which examination would tell for certain?"),
        marked("Was anything missing for the estimate, and does that matter?"),
    ),
)


def words_for(happened: str) -> SheetWords:
    """The words for what happens to patients of the second class."""
    return MEMORY_CLINIC if happened == DEMENTIA else ANY
