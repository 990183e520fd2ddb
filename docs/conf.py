"""How `make docs` builds these pages: without a network, and with every warning an error."""

from survfuse import __version__

project = "survfuse"
author = "The survfuse developers"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3  # links such as methods.md#splits, as on the pages of a repository
suppress_warnings = ["myst.header"]

# Docstrings are plain text in which `x` is code; types stand in the signatures.
default_role = "code"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
add_module_names = False

html_theme = "furo"  # its fonts are the reader's own: nothing is fetched to show a page
html_title = f"survfuse {version}"
html_show_sourcelink = False


def add_commands(_app: object, page: str, source: list[str]) -> None:
    """Fill the page of the commands from the program itself."""
    if page == "reference/commands":
        from survfuse.cli.main import parser

        [commands] = parser()._subparsers._group_actions
        for name, command in commands.choices.items():
            source[0] += f"\n## survfuse {name}\n\n{command.description}\n"
            source[0] += f"\n```text\n{command.format_help()}```\n"


def setup(app: object) -> None:
    """Sphinx calls this before it reads the pages."""
    app.connect("source-read", add_commands)
