"""The documentation of configuration, metrics and encoders, which needs no configuration itself."""

from __future__ import annotations

import argparse

from survfuse.cli.options import Adder, path_option


def add_commands(add: Adder) -> None:
    """schema."""
    command = add(
        "schema",
        schema_command,
        "Print the JSON schema or documentation of the configuration, of metrics or of encoders.",
        "--format markdown --out docs/reference/configuration.md",
    )
    command.add_argument(
        "--format", choices=["json", "markdown", "metrics", "encoders"], default="json"
    )
    path_option(command, "--out", "write to this file instead", required=False)


def schema_command(given: argparse.Namespace) -> None:
    from survfuse.config.documentation import json_schema, markdown
    from survfuse.core.files import write_text

    if given.format == "metrics":
        from survfuse.tasks import metric_docs

        text = metric_docs.markdown()
    elif given.format == "encoders":
        from survfuse.modalities.slides.encoders import documentation

        text = documentation.markdown()
    else:
        text = json_schema() if given.format == "json" else markdown()
    if given.out:
        write_text(given.out, text)
    else:
        print(text, end="")
