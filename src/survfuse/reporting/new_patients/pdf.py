"""From HTML to PDF/A-3 by WeasyPrint: nothing is fetched, fonts are embedded, bytes are the same.

WeasyPrint draws text with Pango, a library of the system, which not every machine has.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

from survfuse.reporting.new_patients.style import PAPERS
from survfuse.reporting.render import TEMPLATES

VARIANT = "pdf/a-3b"
# Those of Matplotlib, so that documents look alike on all machines, also on one without any font.
FONTS = {"normal": "DejaVuSans.ttf", "bold": "DejaVuSans-Bold.ttf"}
PANGO = "apt install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attached:
    """A file within a document."""

    name: str
    content: bytes
    description: str


@dataclass(frozen=True)
class Printing:
    """What all documents on one paper share, read once for them: styles, and fonts."""

    stylesheets: list[Any]
    fonts: Any


def can_write() -> bool:
    """Whether documents can be written here; if not, one line of the log says what is missing."""
    try:
        with redirect_stdout(StringIO()):  # of advice that is repeated below in one line
            import weasyprint  # noqa: F401
    except (ImportError, OSError) as error:
        reason = str(error).splitlines()[0]
        log.warning(
            "PDF files are left out, HTML is written: %s. They need the system library Pango: "
            "%s (docs/how_to/deploy.md)",
            reason.rstrip("."),
            PANGO,
        )
        return False
    return True


def laid_out(html: str, printing: Printing) -> Any:
    """The pages of a document, of which WeasyPrint's `Document` holds the places of anchors."""
    from weasyprint import HTML

    source = HTML(string=html, base_url="about:blank", url_fetcher=fetcher())
    return source.render(stylesheets=printing.stylesheets, font_config=printing.fonts)


def to_pdf(document: Any, on: date, attached: Attached | None = None) -> bytes:
    """The bytes of a document. Times in it are the day `on`, and its id is of what it holds."""
    from weasyprint import Attachment

    at = datetime.combine(on, time(), UTC)
    if attached is not None:
        document.metadata.attachments = [
            Attachment(
                string=attached.content,
                name=attached.name,
                description=attached.description,
                created=at,
                modified=at,
                relationship="Data",
            )
        ]
    identifying = [document.metadata.title, on.isoformat(), attached.content if attached else b""]
    found: bytes = document.write_pdf(
        pdf_variant=VARIANT,
        pdf_identifier=sha256(repr(identifying).encode()).digest()[:16],
        pdf_tags=True,
    )
    return found


def printing_on(paper: str) -> Printing:
    """How documents are printed on a paper of PAPERS."""
    from weasyprint import CSS
    from weasyprint.text.fonts import FontConfiguration

    fonts = FontConfiguration()
    size = f"@page {{ size: {PAPERS[paper]}; }}"
    written = [
        (TEMPLATES / name).read_text(encoding="utf-8") for name in ("style.css", "print.css")
    ]
    sheets = [
        CSS(string=text, font_config=fonts, url_fetcher=fetcher())
        for text in (faces(), *written, size)
    ]
    return Printing(sheets, fonts)


def faces() -> str:
    """The fonts as CSS."""
    found = find_spec("matplotlib")
    assert found is not None and found.submodule_search_locations
    folder = Path(found.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf"
    return "\n".join(
        f"@font-face {{ font-family: DejaVuSans; font-weight: {weight}; "
        f"src: url(data:font/ttf;base64,{b64encode((folder / name).read_bytes()).decode()}); }}"
        for weight, name in FONTS.items()
    )


@cache
def fetcher() -> Any:
    """What opens nothing but what is written in a document itself."""
    from weasyprint.urls import URLFetcher

    return URLFetcher(allowed_protocols=("data",), allow_redirects=False)
