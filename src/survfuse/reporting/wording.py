"""How numbers are written on the pages, and which words the pages may not use.

Risks are given as natural frequencies ("about 28 of 100 patients"), which readers understand better
than percentages: Hoffrage and Gigerenzer, Acad Med 1998;73:538.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html.parser import HTMLParser

from survfuse.core.messages import marked
from survfuse.reporting.wording_rules import RULES, Rules

MINUS = "\u2212"
FEWEST, MOST = marked("fewer than 1"), marked("more than 99")


def decimal(value: float, digits: int = 2, signed: bool = False) -> str:
    """A number with a real minus sign; with `signed` also a plus, so that differences show it."""
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    if float(text) == 0:
        return text.lstrip("+-")
    return text.replace("-", MINUS)


def of_100(probability: float) -> str:
    """A probability as a number of 100 patients; never "0" or "100" unless it is exactly that."""
    count = round(100 * probability)
    if count == 0 and probability > 0:
        return FEWEST
    if count == 100 and probability < 1:
        return MOST
    return str(count)


def about(probability: float) -> str:
    """The word before a number of 100 patients; none before "more than 99"."""
    return "about " if of_100(probability).isdigit() else ""


def months(value: float) -> str:
    """A time: `12` -> "12 months"."""
    return f"{value:g} month" if value == 1 else f"{value:g} months"


def plural(count: int, noun: str) -> str:
    """`plural(1, "slide")` -> "1 slide", `plural(1200, "tile")` -> "1,200 tiles"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def listed(items: Sequence[str]) -> str:
    """`a, b and c`."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def capitalize_first(text: str) -> str:
    """The text with its first letter as a capital and the rest as it is."""
    return text[:1].upper() + text[1:]


def within_sentence(name: str) -> str:
    """The name of a modality within a sentence; MRI and PET stay as they are."""
    return name if name.isupper() else name.lower()


def without_paths(text: str) -> str:
    """Text in which absolute paths are shortened to "(file)": folder names may identify people."""
    return re.sub(r"(?<![\w<])(?:[A-Za-z]:)?(?:[/\\][^\s/\\'\":;,]+){2,}", "(file)", text)


def reason_in_words(reason: str) -> str:
    """A manifest's reason without its leading code and without paths of files."""
    code, separator, sentence = reason.partition(": ")
    words = (
        sentence if separator and code.replace("_", "").isalpha() and " " not in code else reason
    )
    return without_paths(words) or "no reason was recorded"


GEOMETRY = re.compile(r"</?(?:path|circle|rect|line|use|g|defs|clipPath)\b[^>]*>")


def lint(html: str, own_words: Iterable[str] = (), language: str = "en") -> list[str]:
    """Sentences of a page that break the wording rules of a language, each with the reason.

    Forbidden: promises ("will"), claims of accuracy, proof or cause, "significant" without the name
    of a test, "low risk" or "high risk" without a number; a percentage needs its horizon and its
    denominator in the sentence and has no decimals. Text inside an element with the attribute
    `data-verbatim` is the user's own (endpoint definition, title) and is not examined; nor are
    `own_words`, the names of rows, sites and patients, wherever they stand.
    """
    rules = RULES[language]
    own = [word for word in own_words if faults(word, rules)]
    return [
        f"{reason}: {sentence!r}"
        for sentence in sentences(html)
        for reason in faults(without_words(sentence, own), rules)
    ]


def without_words(sentence: str, words: Sequence[str]) -> str:
    """The sentence with every one of the words taken out."""
    for word in words:
        sentence = sentence.replace(word, "…")
    return sentence


def faults(sentence: str, rules: Rules) -> list[str]:
    """What is wrong with one sentence."""
    if not rules.suspect.search(sentence):
        return []

    def says(pattern: str) -> bool:
        return re.search(pattern, sentence, re.I) is not None

    found = [why for words, why in rules.forbidden.items() if says(words)]
    if says(rules.significance) and not says(rules.tests):
        found.append("significance without a test")
    if says(rules.risk) and not says(r"\d"):
        found.append("a risk in words without a number")
    remaining = re.sub(rules.level, "", sentence, flags=re.I)
    if "%" in remaining:
        if re.search(r"\d[.,]\d+\s?%", remaining):
            found.append("a percentage with decimals")
        if not all(re.search(part, remaining, re.I) for part in (rules.horizon, rules.denominator)):
            found.append("a percentage without its horizon and denominator")
    return found


def sentences(html: str) -> list[str]:
    """The sentences a reader of the page sees, one block (paragraph, cell, label) at a time."""
    reader = VisibleText()
    reader.feed(GEOMETRY.sub("", html))  # most of a page with drawings, and without words
    reader.close()
    blocks = (" ".join(block.split()) for block in reader.blocks)
    return [
        sentence for block in blocks for sentence in re.split(r"(?<=[.!?]) +", block) if sentence
    ]


class VisibleText(HTMLParser):
    """Collects the text of a page by block, and what screen readers say in its place."""

    INLINE = frozenset({"span", "b", "i", "em", "strong", "sub", "sup", "abbr", "tspan", "a"})
    VOID = frozenset({"meta", "img", "br", "hr", "link", "input"})
    SILENT = frozenset({"style", "script"})

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[str] = [""]
        self.open: list[tuple[str, bool]] = []  # tag, and whether its text is left out

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag not in self.INLINE:
            self.blocks.append("")
        for spoken in ("alt", "aria-label", "title"):
            if attributes.get(spoken) and not self.hidden:
                self.blocks += [attributes[spoken] or "", ""]
        if tag not in self.VOID:
            hides = tag in self.SILENT or "data-verbatim" in attributes
            self.open.append((tag, self.hidden or hides))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """`<path/>` and the like open nothing."""

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.INLINE:
            self.blocks.append("")
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.blocks[-1] += data

    @property
    def hidden(self) -> bool:
        """Whether the current text is not examined."""
        return bool(self.open) and self.open[-1][1]
