"""The page as a visitor sees it: from the form to the report, and whatever else may be sent."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from deployment_fixture import new_sheets
from serving_fixture import ADDRESS, TOKEN, Visitor, words
from survfuse.artifacts.package import open_package
from survfuse.deployment.inputs import NewSheets
from survfuse.deployment.predict import predict_new
from survfuse.reporting import wording
from survfuse.reporting.new_patients.style import Style

PATIENT = {"patient_id": "P1", "value:age": "61.25", "value:stage": "II", "value:sex": "male"}
HOSTILE = ("<script>alert(1)</script>", "../../x", "P1/../../../x", "' OR 1=1 --", "{{ 7 * 7 }}")


def genes_of(patient: str, folder: Path, row: int = 0) -> bytes:
    """The table of the genes of one patient."""
    _, genes = new_sheets(folder, 4)
    text = genes.iloc[[row]].assign(patient_id=patient).to_csv(index=False)
    return text.encode()


def table(content: bytes, name: str = "genes.csv") -> dict[str, tuple[str, bytes]]:
    return {"sheet:omics": (name, content)}


def directly(package: Path, folder: Path, values: dict[str, str], genes: bytes | None) -> dict:
    """The record that `predict_new` gives of what a form holds."""
    folder.mkdir()
    row = {name.removeprefix("value:"): [value] for name, value in values.items()}
    pd.DataFrame(row).to_csv(folder / "patients.tsv", sep="\t", index=False)
    brought = {}
    if genes is not None:
        brought["omics"] = folder / "genes.csv"
        brought["omics"].write_bytes(genes)
    sheets = NewSheets(folder / "patients.tsv", brought)
    [record] = predict_new(
        open_package(package), sheets, folder / "out", device="cpu", style=Style(documents=False)
    )
    return record


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the page has logged itself."""
    own = (one for one in caplog.records if one.name.startswith("survfuse.serve"))
    return [one.getMessage() for one in own]


def test_the_form_asks_for_what_the_package_reads(visitor: Visitor) -> None:
    answer = visitor.client.get("/")
    page = answer.text
    assert answer.status_code == 200
    stages = re.search(r'<select id="value:stage".*?</select>', page, re.DOTALL)[0]
    assert re.findall(r"<option[^>]*>(.*?)<", stages) == ["not known", "I", "II", "III"]
    assert re.search(r'name="value:age"[^>]*inputmode="decimal"', page)
    assert re.search(r"Usual: 4\d(\.\d)? to \d\d(\.\d)?, of 98 in 100 patients", words(page))
    assert 'name="sheet:omics"' in page and "slides" not in words(page)
    assert "Research use only. Not validated for clinical decisions." in words(page)
    assert "Harrell’s C, with the 95 % interval: survfuse" in words(page)


@pytest.mark.parametrize("place", ["/", "/several"])
def test_pages_fetch_nothing_and_run_only_their_own_script(visitor: Visitor, place: str) -> None:
    answer = visitor.client.get(place)
    assert not re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""", answer.text)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy and "form-action 'self'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert wording.lint(answer.text) == []


def test_a_patient_gets_the_report_that_predict_writes(
    visitor: Visitor, served_package: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    genes = genes_of("P1", tmp_path)
    place, checked = visitor.checked(PATIENT.copy(), table(genes))
    assert "61.25" in checked and "Gene expression" in words(checked)
    assert "missing" not in words(checked) and wording.lint(checked) == []
    assert (visitor.out / place.rpartition("/")[2] / "sent" / "omics.csv").is_file()
    assert visitor.send({}, to=f"{place}/predict").status_code == 303
    done = visitor.settled(place)
    assert wording.lint(done) == []
    record = visitor.client.get(f"{place}/predictions/P1.json").json()
    assert record == directly(served_package, tmp_path / "direct", PATIENT, genes)
    report = visitor.client.get(f"{place}/reports/P1.html")
    assert "Patient P1" in words(report.text)
    assert "sandbox" in report.headers["content-security-policy"]
    run = visitor.out / place.rpartition("/")[2]
    assert run.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in run.iterdir()} >= {"run.json", "predictions", "reports"}
    assert not {"sent", "working"} & {path.name for path in run.iterdir()}
    assert b"61.25" not in b"".join(p.read_bytes() for p in run.rglob("*.json"))
    # And the log says that it was done, but not of whom.
    logged = " ".join(told(caplog))
    assert "predict: done after" in logged
    assert not re.search(rf"P1\b|61\.25|{run.name}", logged)


def test_what_is_missing_is_said_before_and_predicted_without(
    visitor: Visitor, served_package: Path, tmp_path: Path
) -> None:
    values = {**PATIENT, "value:age": "99", "value:sex": ""}
    place, page = visitor.checked(values.copy())
    said = words(page)
    assert "missing Gene expression The estimate is made from what there is, and its" in said
    assert "interval counts what gene expression could change" in said
    assert "age is 99; of 100 patients of the study 98 had" in said
    assert "Not known: sex" in said and wording.lint(page) == []
    visitor.send({}, to=f"{place}/predict")
    visitor.settled(place)
    record = visitor.client.get(f"{place}/predictions/P1.json").json()
    assert record == directly(served_package, tmp_path / "direct", values, None)


def test_only_files_that_are_there_are_linked(visitor: Visitor) -> None:
    place, done = visitor.predicted(PATIENT.copy())
    linked = re.findall(rf'href="({place}/[^"]+)"', done)
    assert f"{place}/reports/P1.html" in linked and f"{place}/predictions/P1.json" in linked
    for one in linked:
        assert visitor.client.get(one).status_code == 200, one
    run = visitor.out / place.rpartition("/")[2]
    (run / "documents").mkdir(exist_ok=True)
    (run / "documents" / "P1.pdf").write_bytes(b"%PDF-1.7")
    assert f"{place}/documents/P1.pdf" in visitor.client.get(place).text
    answer = visitor.client.get(f"{place}/documents/P1.pdf")
    assert answer.content == b"%PDF-1.7" and answer.headers["content-type"] == "application/pdf"
    (run / "documents" / "P1.pdf").unlink()
    assert "/documents/" not in visitor.client.get(place).text
    pytest.importorskip("fhir.resources")
    bundle = visitor.client.get(f"{place}/fhir/P1.json")
    assert bundle.headers["content-type"] == "application/fhir+json"
    assert bundle.json()["resourceType"] == "Bundle"


def test_several_patients_get_a_report_each(visitor: Visitor, tmp_path: Path) -> None:
    patients, genes = new_sheets(tmp_path, 3)
    sent = {
        "patients": ("new.csv", patients.to_csv(index=False).encode()),
        "sheet:omics": ("g.tsv", genes.iloc[1:].to_csv(index=False, sep="\t").encode()),
    }
    place, done = visitor.predicted({}, sent, to="/send/several")
    for one in patients["patient_id"]:
        assert one in words(done)
        record = visitor.client.get(f"{place}/predictions/{one}.json").json()
        assert record["patient_id"] == one
    index = visitor.client.get(f"{place}/reports/index.html").text
    [first, *_] = re.findall(r'href="([^"]+\.html)"', index)
    assert visitor.client.get(f"{place}/reports/{first}").status_code == 200
    assert "patient_id" in visitor.client.get(f"{place}/predictions/predictions.tsv").text
    sent["patients"] = ("new.csv", b"patient_id,age\nP1,60\nP2,old\n")
    _, page = visitor.checked({}, sent, to="/send/several")
    assert "Patients, row 3, age: “old” is not a number" in words(page)


@pytest.mark.parametrize("patient", HOSTILE)
def test_hostile_ids_are_refused_and_do_no_harm(visitor: Visitor, patient: str) -> None:
    before = {path for path in visitor.out.parent.rglob("*") if visitor.out not in path.parents}
    place, page = visitor.checked({**PATIENT, "patient_id": patient})
    assert "Please correct this" in page and "Patient id: has " in words(page)
    assert "use up to 64 letters, digits, _ and -" in words(page).lower()
    assert "<script>alert" not in page and ">49<" not in page
    assert [path.name for path in (visitor.out / place.rpartition("/")[2]).iterdir()] == [
        "run.json"
    ]
    after = {path for path in visitor.out.parent.rglob("*") if visitor.out not in path.parents}
    assert after == before


@pytest.mark.parametrize(
    ("values", "files", "said"),
    [
        ({"value:age": "61,5"}, {}, "Age: “61,5” is not a number."),
        ({"value:age": "<b>old</b>"}, {}, "“<b>old</b>” is not a number"),
        ({"value:stage": "IX"}, {}, "is not a level. Use one of: I, II, III"),
        ({}, table(b'patient_id,G0\nP1,"1.0\n'), "Gene expression, row 2: is not a table"),
        ({}, table(b"patient_id,G0\nP1,soon\n"), "is not a finite number"),
        ({}, table(b"%PDF-1.7 and so on"), "Gene expression: is a PDF document"),
        ({}, table(b"\x7fELF\0\0\0", "genes.exe"), "has a suffix that is not a gene matrix's"),
        ({}, table(b"PK\x03\x04", "genes.xlsx"), "is a workbook of a spreadsheet program"),
        ({}, table(b""), "Gene expression"),
    ],
)
def test_what_is_wrong_is_told_as_the_sheets_tell_it(
    visitor: Visitor, values: dict[str, str], files: dict[str, Any], said: str
) -> None:
    place, page = visitor.checked({**PATIENT, **values}, files)
    text = words(page).replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'")
    assert said in text and "Please correct this" in text
    assert "Traceback" not in page and str(visitor.out) not in page
    assert not (visitor.out / place.rpartition("/")[2] / "sent").exists()


def test_genes_of_another_patient_are_not_taken_for_the_patients(
    visitor: Visitor, tmp_path: Path
) -> None:
    _, page = visitor.checked(PATIENT.copy(), table(genes_of("P2", tmp_path)))
    assert "Gene expression, patient_id: no row belongs to a patient" in words(page)


@pytest.mark.parametrize(
    ("values", "files", "status", "said"),
    [
        ({"patient_id": ""}, {}, 400, "Give the patient an id"),
        ({"token": "guessed"}, {}, 403, "load it again"),
        ({"extra": "1"}, {}, 400, "a field that this page does not have"),
        ({"value:age": "6" * 3000}, {}, 413, "A value is too long"),
        ({}, {"sheet:slides": ("a.csv", b"1")}, 400, "a file that this page does not ask for"),
        ({}, table(b"x" * 400_000), 413, "larger than 0 MiB together"),
    ],
)
def test_forms_that_are_not_ours_or_too_large_are_refused(
    visitor: Visitor, values: dict[str, str], files: dict[str, Any], status: int, said: str
) -> None:
    before = visitor.runs()
    answer = visitor.send({**PATIENT, **values}, files)
    assert answer.status_code == status and said in words(answer.text)
    assert visitor.runs() == before


def test_a_size_that_was_not_announced_is_limited_too(visitor: Visitor) -> None:
    head = f'--b\r\nContent-Disposition: form-data; name="token"\r\n\r\n{TOKEN}\r\n--b\r\n'
    head += 'Content-Disposition: form-data; name="sheet:omics"; filename="a.csv"\r\n\r\n'

    def pieces() -> Any:
        yield head.encode()
        for _ in range(50):
            yield b"x" * 10_000

    before = visitor.runs()
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = visitor.client.post("/send", content=pieces(), headers=kind)
    assert answer.status_code == 413 and visitor.runs() == before


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example:8765"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]:8765"}, 200),
        ({"Host": "[::1"}, 421),
    ],
)
def test_names_of_other_sites_are_not_answered(
    visitor: Visitor, headers: dict[str, str], status: int
) -> None:
    assert visitor.client.get("/", headers=headers).status_code == status


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_forms_of_other_pages_are_refused(visitor: Visitor, headers: dict[str, str]) -> None:
    parts = {"token": (None, TOKEN), "patient_id": (None, "P1")}
    answer = visitor.client.post("/send", files=parts, headers=headers)
    assert answer.status_code == 403 and "from another page" in words(answer.text)


def test_addresses_lead_nowhere_else(visitor: Visitor) -> None:
    place, _ = visitor.predicted(PATIENT.copy())
    wrong = [
        "/runs/../../etc/passwd",
        "/runs/%2e%2e/reports/P1.html",
        f"{place}/reports/..%2f..%2frun.json",
        f"{place}/reports/%2e%2e/run.json",
        f"{place}/predictions/../run.json",
        f"{place}/predictions/members.tsv",
        f"{place}/sent/patients.tsv",
        f"{place}/documents/P1.html",
        f"{place}/predictions/P2.json",
        f"/runs/{'0' * 32}",
        f"/runs/{'0' * 31}",
        "/runs/.lock",
        "/no/such/page",
    ]
    for one in wrong:
        answer = visitor.client.get(one)
        assert answer.status_code == 404, one
        assert "There is no such page" in words(answer.text)
    answer = visitor.client.get("/send")
    assert answer.status_code == 405 and "cannot be asked" in words(answer.text)


def test_patients_sent_at_once_get_their_own_results_and_a_bad_one_harms_nobody(
    visitor: Visitor, served_package: Path, tmp_path: Path
) -> None:
    tables = [genes_of(f"A{row}", tmp_path, row) for row in range(3)]
    forms = [{**PATIENT, "patient_id": f"A{row}", "value:age": str(50 + row)} for row in range(3)]

    def whole(row: int) -> tuple[str, str]:
        if row == 3:
            return visitor.checked(PATIENT.copy(), table(b"no table at all"))
        return visitor.predicted(forms[row].copy(), table(tables[row]))

    with ThreadPoolExecutor(4) as visitors:
        ended = list(visitors.map(whole, range(4)))
    assert "Please correct this" in ended[3][1]
    assert len({place for place, _ in ended}) == 4
    for row, (place, _) in enumerate(ended[:3]):
        record = visitor.client.get(f"{place}/predictions/A{row}.json").json()
        alone = directly(served_package, tmp_path / f"direct{row}", forms[row], tables[row])
        assert record == alone
        others = [f"{place}/predictions/A{other}.json" for other in range(3) if other != row]
        assert all(visitor.client.get(one).status_code == 404 for one in others)


def test_a_prediction_that_is_asked_for_twice_is_made_once(visitor: Visitor) -> None:
    place, _ = visitor.checked(PATIENT.copy())
    for _ in range(2):
        assert visitor.send({}, to=f"{place}/predict").status_code == 303
    visitor.settled(place)
    assert visitor.send({"token": "guessed"}, to=f"{place}/predict").status_code == 403
    assert "Patient P1" in words(visitor.settled(place))


def asked(visitor: Visitor, body: list[bytes | float | None]) -> tuple[int | None, str]:
    """What is answered to a body in pieces; a number waits so long, None hangs up."""
    sent: list[dict[str, Any]] = []
    pieces = iter(body)
    headers = {
        "host": "127.0.0.1:8765",
        "origin": ADDRESS,
        "content-type": "multipart/form-data; boundary=b",
    }
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/send",
        "raw_path": b"/send",
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "server": ("127.0.0.1", 8765),
        "client": ("127.0.0.1", 1),
        "app": visitor.client.app,
        "state": {},
    }

    async def receive() -> dict[str, Any]:
        piece = next(pieces, b"")
        if isinstance(piece, float):
            await asyncio.sleep(piece)
            piece = b" "
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": piece != b""}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(visitor.client.app(scope, receive, send))
    status = next((one["status"] for one in sent if "status" in one), None)
    return status, b"".join(one.get("body", b"") for one in sent).decode()


def test_half_sent_slow_and_broken_bodies_leave_nothing(visitor: Visitor) -> None:
    token = f'--b\r\nContent-Disposition: form-data; name="token"\r\n\r\n{TOKEN}\r\n'.encode()
    half = token + b'--b\r\nContent-Disposition: form-data; name="sheet:omics"; filename="a.csv"'
    half += b"\r\n\r\npatient_id,G0\nP1,"
    before = visitor.runs()
    status, page = asked(visitor, [half, b""])
    assert status == 400 and "did not arrive whole" in words(page)
    status, page = asked(visitor, [half, 60.0])
    assert status == 408 and "too slowly" in words(page)
    status, page = asked(visitor, [half, *[0.3] * 100])  # never silent for long, and never done
    assert status == 408
    assert asked(visitor, [half, None]) == (None, "")
    status, page = asked(visitor, [b"--b\r\nno header at all\r\n\r\n"])
    assert status == 400 and "could not be read" in words(page)
    assert visitor.runs() == before
    answer = visitor.client.post("/send", json={"patient_id": "P1"})
    assert answer.status_code == 415 and "not the form" in words(answer.text)
    assert visitor.runs() == before


def test_a_package_that_was_changed_meanwhile_predicts_nobody(
    visitor: Visitor, served_package: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    estimates = served_package / "estimates.json"
    whole = estimates.read_bytes()
    try:
        estimates.write_bytes(whole.replace(b"0.9", b"0.8", 1))
        _, page = visitor.checked(PATIENT.copy())
    finally:
        estimates.write_bytes(whole)
    assert "was changed after the package was made" in words(page)
    assert str(served_package) not in page and told(caplog)[-1].startswith("check: refused")


def test_a_defect_is_a_sentence_on_the_page_and_a_place_in_the_log(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place, _ = visitor.checked({**PATIENT, "patient_id": "SECRET"})

    def broken(*_: object) -> None:
        raise ValueError("the value of SECRET")

    monkeypatch.setattr("survfuse.serve.pages.where", broken)
    monkeypatch.setattr("survfuse.serve.pages.flags", broken)
    answer = visitor.client.get(place)
    assert answer.status_code == 500 and "Something went wrong in survfuse" in words(answer.text)
    assert "SECRET" not in answer.text and "Traceback" not in answer.text
    logged = " ".join(told(caplog))
    assert "a request failed: ValueError at test_app.py:" in logged and "SECRET" not in logged


def test_a_full_disk_is_told_and_leaves_nothing(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = visitor.runs()
    monkeypatch.setattr("survfuse.serve.app.write_sheets", full)
    answer = visitor.send(PATIENT.copy())
    assert answer.status_code == 507 and "machine is full" in words(answer.text)
    assert visitor.runs() == before


def test_records_of_the_page_are_json(visitor: Visitor) -> None:
    place, _ = visitor.predicted(PATIENT.copy())
    answer = visitor.client.get(f"{place}/predictions/P1.json")
    assert answer.headers["content-disposition"] == 'attachment; filename="P1.json"'
    assert json.loads(answer.text)["schema"] == "survfuse/prediction/1"
