"""What patients with the event have done."""

import pytest
from pydantic import ValidationError

from survfuse.config.cohort import Endpoint
from survfuse.core.event_words import event_words


@pytest.mark.parametrize(
    ("name", "definition", "words"),
    [
        ("overall survival", "time from diagnosis to death from any cause", "have died"),
        ("OS", "", "have died"),
        ("progression-free survival", "", "have had a progression or have died"),
        ("PFS", "time to progression or death", "have had a progression or have died"),
        ("time to progression", "deaths are censored", "have had a progression"),
        ("recurrence-free survival", "", "have had a recurrence or have died"),
        ("disease-specific survival", "time to death of the cancer", "have died of the disease"),
        ("conversion to dementia", "nothing is known of deaths", "have converted to dementia"),
        ("event-free survival", "time to the event", "have had the event"),
    ],
)
def test_words_of_usual_endpoints(name: str, definition: str, words: str) -> None:
    assert event_words(name, definition) == words


def test_the_configuration_has_the_last_word() -> None:
    assert Endpoint().happened == "have died"
    assert Endpoint(event_words="have had a stroke").happened == "have had a stroke"
    with pytest.raises(ValidationError):
        Endpoint(event_words="stroke")
