"""The documentation of configuration and metrics, which needs no configuration itself."""

from __future__ import annotations

import argparse

from survfuse.cli.options import Adder, path_option


def add_commands(add: Adder) -> None:
    """schema."""
    command = add(
        "schema",
        schema_command,
        "Print the JSON schema or documentation of the configuration, or that of the metrics.",
        "--format markdown --out docs/reference/configuration.md",
    )
    command.add_argument("--format", choices=["json", "markdown", "metrics"], default="json")
    path_option(command, "--out", "write to this file instead", required=False)


def schema_command(given: argparse.Namespace) -> None:
    from survfuse.config.documentation import json_schema, markdown
    from survfuse.core.files import write_text

    if given.format == "metrics":
        from survfuse.tasks import metric_docs

        text = metric_docs.markdown()
    else:
        text = json_schema() if given.format == "json" else markdown()
    if given.out:
        write_text(given.out, text)
    else:
        print(text, end="")
