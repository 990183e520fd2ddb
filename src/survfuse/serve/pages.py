"""The pages, each made of the package and of how far a run is."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader
from markupsafe import Markup
from starlette.responses import FileResponse, HTMLResponse, Response

from survfuse.artifacts.package import Package
from survfuse.core.files import read_object
from survfuse.deployment.card import verdict
from survfuse.deployment.words import estimate_in_words, inputs_in_words
from survfuse.modalities.registry import MODALITIES, SHEET_OF
from survfuse.reporting.render import TEMPLATES, environment
from survfuse.serve.documents import offered_of, offered_of_all
from survfuse.serve.form import PATIENT, PATIENTS, Form
from survfuse.serve.runs import CHECKED, CHECKING, DONE, FAILED, Run
from survfuse.serve.uploads import TOKEN
from survfuse.tasks.loading import task_of

OWN = Path(__file__).parent / "templates"
SHOWN = 50  # patients that a check lists, and remarks of each
# A report has its own styles and pictures inside, no script, and may send nothing anywhere.
REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'; sandbox allow-downloads"
)


def hash_of(text: str) -> str:
    """What a policy says of a script or style within the page."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


class Pages:
    """The pages of one package."""

    def __init__(self, package: Package, form: Form, token: str, most_bytes: int) -> None:
        style = (TEMPLATES / "style.css").read_text() + (OWN / "serve.css").read_text()
        script = (OWN / "serve.js").read_text()
        self._templates = environment().overlay(loader=FileSystemLoader([OWN]))
        self._policy = (
            f"default-src 'none'; style-src {hash_of(style)}; script-src {hash_of(script)}; "
            "base-uri 'none'; form-action 'self'; frame-src 'self'; frame-ancestors 'none'"
        )
        performance = read_object(package.files.performance)
        self._context: dict[str, Any] = {
            "style": Markup(style),
            "script": Markup(script),
            "package": package.record,
            "identity": package.identity,
            "predicted": task_of(package.config).predicted(package.config),
            "reads": inputs_in_words(package.config, package.record),
            "worth": worth(package, performance),
            "asked": form,
            "token": token,
            "token_field": TOKEN,
            "patient_field": PATIENT,
            "patients_field": PATIENTS,
            "most_bytes": most_bytes,
            "interval_widens": has_intervals(package),
            "report": False,  # whether a page shows one, which has all banners itself
        }

    def page(self, template: str, status: int = 200, **context: Any) -> Response:
        """A page of a template."""
        html = self._templates.get_template(template).render({**self._context, **context})
        return HTMLResponse(html, status, {"Content-Security-Policy": self._policy})

    def said(self, status: int, sentence: str) -> Response:
        """A page with a sentence alone."""
        return self.page("said.html.j2", status, sentence=sentence)

    def form(self, several: bool) -> Response:
        """What is asked for."""
        return self.page("several.html.j2" if several else "form.html.j2")

    def waiting(self, run: Run, found: Mapping[str, Any], before: int) -> Response:
        """A run that is worked on, or that waits for `before` others; looks again by itself."""
        checking = found["state"] == CHECKING
        return self.page("waiting.html.j2", run=run, checking=checking, before=before)

    def run(self, run: Run, found: Mapping[str, Any]) -> Response:
        """A run that waits for a person, or has ended."""
        if found["state"] == CHECKED:
            patients = [self.reviewed(one) for one in found["patients"][:SHOWN]]
            return self.page(
                "review.html.j2",
                run=run,
                patients=patients,
                total=len(found["patients"]),
                several=found["several"],
            )
        if found["state"] == DONE:
            return self.done(run, found["patients"])
        several = found.get("several", False)
        problems = [{**one, "where": where(one, several)} for one in found["problems"]]
        failed = found["state"] == FAILED
        return self.page("refused.html.j2", 200, problems=problems, failed=failed)

    def reviewed(self, patient: Mapping[str, Any]) -> dict[str, Any]:
        """What there is of a patient, in words."""
        record, study = self._context["package"], self._context["package"]["study"]
        inputs = [
            {
                "name": MODALITIES[name].label,
                "given": given,
                "made_from": MODALITIES[MODALITIES[name].made_from].noun
                if name in patient["made"]
                else "",
                "noun": MODALITIES[name].noun,
                "pronoun": MODALITIES[name].pronoun,
                "read": name in record["reads"],
                "had_by": study.get("modalities", {}).get(name),
            }
            for name, given in patient["given"].items()
        ]
        empty = [name for name, value in patient["covariates"].items() if not value]
        return {**patient, "inputs": inputs, "empty": empty, "flags": flags(patient)}

    def done(self, run: Run, patients: list[str]) -> Response:
        """What was predicted, with all that can be taken away."""
        rows = [{"patient_id": one, "offered": offered_of(run, one)} for one in patients]
        of_all = offered_of_all(run)
        return self.page("done.html.j2", run=run, rows=rows, of_all=of_all, report=len(rows) == 1)

    def report(self, path: Path) -> Response:
        """The page of a patient, or the list of all, as it was written."""
        headers = {"Content-Security-Policy": REPORT_POLICY}
        return FileResponse(path, headers=headers, media_type="text/html; charset=utf-8")


def flags(patient: Mapping[str, Any]) -> list[str]:
    """What is unusual of a patient."""
    return [one["sentence"] for one in patient["remarks"]][:SHOWN]


def where(problem: Mapping[str, Any], several: bool) -> str:
    """Where a problem is, as far as it is known: in a field of the form, or in a sheet."""
    sheet, column = problem.get("sheet"), problem.get("column")
    if sheet is None:
        return ""
    if sheet == PATIENTS and not several and column is not None:
        return str(column.replace("_", " "))
    named = MODALITIES[SHEET_OF[sheet]].label if sheet in SHEET_OF else "Patients"
    row = f", row {problem['row']}" if problem["row"] is not None else ""
    return f"{named}{row}{'' if column is None else f', {column}'}"


def worth(package: Package, performance: Mapping[str, Any]) -> dict[str, Any]:
    """What the study found of the row that predicts, and of the one that it is compared with."""
    name = performance["ranking"]["name"]
    order = [package.row, *(one for one in performance["rows"] if one != package.row)]
    rows = [
        (row["label"], estimate_in_words(row["metrics"][name]["found"]))
        for one in order
        if name in (row := performance["rows"][one])["metrics"]
    ]
    differences = [
        {"estimate": estimate_in_words(one), "verdict": verdict(one)}
        for one in performance["comparisons"]
    ]
    return {
        "label": performance["ranking"]["label"],
        "n_patients": performance["n_patients"],
        "level": f"{100 * performance['confidence']:g} %",
        "rows": rows,
        "difference": next(iter(differences), None),
    }


def has_intervals(package: Package) -> bool:
    """Whether estimates have an interval, which missing inputs widen."""
    return bool(read_object(package.files.estimates)[package.row].get("horizons"))
