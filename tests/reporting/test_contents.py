"""The table of contents: a link for every section, and an anchor for every link."""

from survfuse.reporting.contents import PLACE, with_contents


def test_sections_are_listed_in_their_order_with_anchors() -> None:
    page = f"<h1>Page</h1>{PLACE}<h2>What <i>A &amp; B</i> say</h2><p>…</p><h2>Patients</h2>"
    assert with_contents(page) == (
        '<h1>Page</h1><nav class="contents" aria-label="Contents">\n<ul>\n'
        '<li><a href="#what-a-b-say">What <i>A &amp; B</i> say</a></li>\n'
        '<li><a href="#patients">Patients</a></li>\n</ul>\n</nav>'
        '<h2 id="what-a-b-say">What <i>A &amp; B</i> say</h2><p>…</p>'
        '<h2 id="patients">Patients</h2>'
    )


def test_headings_that_read_alike_have_anchors_of_their_own() -> None:
    page = with_contents(f"{PLACE}<h2>Same</h2><h2>same!</h2><h2>Ü</h2><h2>—</h2>")
    for anchor in ("same", "same-2", "section", "section-2"):
        assert page.count(f'<h2 id="{anchor}">') == page.count(f'href="#{anchor}"') == 1


def test_a_page_without_a_place_for_contents_stays_as_it_is() -> None:
    page = "<h1>Page</h1><h2>Section</h2>"
    assert with_contents(page) == page
