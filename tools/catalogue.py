"""Write what pages of new patients say into the catalogues of src/survfuse/reporting/locale.

    python tools/catalogue.py

Texts that are no longer said are removed; new ones stand there without a translation, which
tests/reporting/test_language.py does not let pass. The catalogue of a new language is made by
copying another one, after an entry in `survfuse.reporting.language.LOCALES`.
"""

from __future__ import annotations

from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import write_po

from survfuse import __version__ as VERSION
from survfuse.core.files import atomic_path
from survfuse.reporting.language import CATALOGUES, catalogue_of
from survfuse.reporting.render import TEMPLATES

SOURCE = TEMPLATES.parents[1]
# What marks a text in the code, and which of its arguments that is.
KEYWORDS = {"marked": None, "ngettext": (1, 2)}
OF_OURS = {"Message": None}  # other libraries have messages too
IN_TEMPLATES = {"_": None, "gettext": None, "ngettext": (1, 2)}
OPTIONS = {"trimmed": "true", "silent": "false"}


def said() -> Catalog:
    """All texts that can be said in other languages, with where they are."""
    found = Catalog(project="survfuse", version=VERSION)
    for path in sorted(SOURCE.rglob("*.py")):
        ours = "survfuse.core.messages import" in path.read_text(encoding="utf-8")
        add(found, "python", path, {**KEYWORDS, **(OF_OURS if ours else {})}, {})
    for path in sorted((TEMPLATES / "new_patients").glob("*.j2")):
        add(found, "jinja2.ext:babel_extract", path, IN_TEMPLATES, OPTIONS)
    return found


def add(
    found: Catalog, method: str, path: Path, keywords: dict[str, object], options: dict[str, str]
) -> None:
    """Add the texts of one file."""
    place = path.relative_to(SOURCE).as_posix()
    for line, text, comments, context in extract_from_file(method, path, keywords, (), options):
        found.add(text, None, [(place, line)], auto_comments=comments, context=context)


def main() -> None:
    texts = said()
    for path in sorted(CATALOGUES.glob("*.po")):
        kept = catalogue_of(path)
        kept.update(texts, no_fuzzy_matching=True, update_creation_date=False)
        with atomic_path(path) as temporary, temporary.open("wb") as opened:
            write_po(opened, kept, width=100, ignore_obsolete=True, include_lineno=False)
        missing = sum(1 for one in kept if one.id and not one.string)
        print(f"{path.name}: {len(kept)} texts, {missing} not translated")


if __name__ == "__main__":
    main()
