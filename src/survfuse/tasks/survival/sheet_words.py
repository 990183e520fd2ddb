"""The words of the sheet for a patient who is asked about survival."""

from __future__ import annotations

from survfuse.core.messages import marked
from survfuse.tasks.sheet_words import SheetWords

WORDS = SheetWords(
    about=marked(
        "It is about how an illness goes on: of people who are like you in what was examined, how "
        "many have which course in the time after."
    ),
    limits=marked(
        "It says nothing of which treatment is good for you, and nothing of what you can do "
        "yourself. People with the same estimate fare very differently."
    ),
    whom=marked(
        "Such numbers can weigh on you. Many hospitals have people who help with that, such as "
        "psychologists, social workers or pastoral care; ask who it is here."
    ),
    questions=(
        marked("What do we know about my illness without this number?"),
        marked("Which treatments are there for me, and what do they do?"),
        marked("Was anything missing for the estimate, and does that matter?"),
    ),
)
