"""The local web page."""

from __future__ import annotations

import argparse

from survfuse.cli.commands.deployment import style_given, style_options
from survfuse.cli.options import Adder, count, path_option, shared_options


def add_commands(add: Adder) -> None:
    """serve."""
    command = add(
        "serve",
        serve_command,
        "Show a page on this machine that predicts patients by a package; nothing leaves it.",
        "--package packages/demo --out results/served",
    )
    path_option(command, "--package", "folder that survfuse package wrote")
    path_option(command, "--out", "folder for the reports, one below it for each run")
    path_option(
        command, "--weights", "weights of the slide encoder, which no package holds", required=False
    )
    command.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to answer at; default: 127.0.0.1, which this machine alone reaches",
    )
    command.add_argument(
        "--port", type=int, default=8765, metavar="N", help="default: 8765; 0 takes a free one"
    )
    command.add_argument(
        "--most-mib",
        type=count,
        default=4096,
        metavar="N",
        help="MiB that one form may bring, default 4096",
    )
    shared_options(command, "--threads", "--device")
    style_options(command)


def serve_command(given: argparse.Namespace) -> None:
    from survfuse.serve.means import Means
    from survfuse.serve.server import serve_package

    style = style_given(given)
    means = Means(given.package, given.weights, given.threads, given.device, style)
    serve_package(means, given.out, given.host, given.port, given.most_mib)
