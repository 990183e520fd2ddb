"""From predictions to the systems of a hospital."""

from __future__ import annotations

import argparse
import logging

from survfuse.cli.options import Adder, path_option

log = logging.getLogger("survfuse")


def add_commands(add: Adder) -> None:
    """export."""
    command = add(
        "export",
        export_command,
        "Write predictions of new patients as FHIR, DICOM and HL7.",
        "--predicted results/new --out results/new_exports --to fhir hl7",
    )
    path_option(command, "--predicted", "folder that survfuse predict wrote")
    path_option(command, "--out", "folder for the exports")
    command.add_argument(
        "--to",
        nargs="+",
        default=["fhir", "dicom", "hl7"],
        metavar="NAME",
        help="of fhir, dicom and hl7; default: all",
    )
    path_option(
        command,
        "--identifiers",
        "key file: patient_id, identifier and, if known, authority, family_name, given_name, "
        "birth_date; tab-separated",
        required=False,
    )
    command.add_argument(
        "--with-identifiers",
        action="store_true",
        help="put the identifiers of the key file in place of the pseudonyms",
    )


def export_command(given: argparse.Namespace) -> None:
    from survfuse.exchange.stage import export_predictions

    written = export_predictions(
        given.predicted, given.out, given.to, given.identifiers, given.with_identifiers
    )
    log.info("%s: %d files", given.out, len(written))
