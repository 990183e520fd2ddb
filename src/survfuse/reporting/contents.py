"""The table of contents of a page, made of its headings."""

from __future__ import annotations

import re

PLACE = '<nav class="contents" aria-label="Contents"></nav>'
HEADING = re.compile(r"<h2>(?P<words>.*?)</h2>", re.S)


def with_contents(html: str) -> str:
    """The page with a list of its sections at `PLACE`, and every section with an anchor.

    A page without that place, which is a short one, is returned as it is.
    """
    if PLACE not in html:
        return html
    found: dict[str, str] = {}  # by anchor, the words of the heading

    def anchored(heading: re.Match[str]) -> str:
        anchor = unused(slug(heading["words"]), found)
        found[anchor] = heading["words"]
        return f'<h2 id="{anchor}">{heading["words"]}</h2>'

    page = HEADING.sub(anchored, html)
    entries = (f'<li><a href="#{anchor}">{words}</a></li>\n' for anchor, words in found.items())
    filled = PLACE.replace("></nav>", f">\n<ul>\n{''.join(entries)}</ul>\n</nav>")
    return page.replace(PLACE, filled)


def slug(heading: str) -> str:
    """A heading as an anchor: its letters and digits in lower case, tags left out."""
    words = re.sub(r"<[^>]+>|&#?\w+;", " ", heading).lower()
    return "-".join(re.findall(r"[a-z0-9]+", words)) or "section"


def unused(anchor: str, taken: dict[str, str]) -> str:
    """The anchor, with a number where another section has it."""
    number, name = 1, anchor
    while name in taken:
        number += 1
        name = f"{anchor}-{number}"
    return name
