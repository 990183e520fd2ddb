"""The pages and what they lead to, as an ASGI application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from survfuse.artifacts.package import Package
from survfuse.serve.documents import fhir_bundle, find_document
from survfuse.serve.failures import OF_RUN
from survfuse.serve.form import PATIENT, PATIENTS, Form, form_of, write_sheets
from survfuse.serve.guard import Guard, refused_as_sentence
from survfuse.serve.means import Means
from survfuse.serve.pages import Pages
from survfuse.serve.run_queue import RunQueue
from survfuse.serve.runs import (
    CHECKED,
    CHECKING,
    DONE,
    FAILED,
    PREDICTING,
    UNFINISHED_S,
    Run,
    find_run,
    new_run,
    remove_unfinished,
)
from survfuse.serve.uploads import Limits, Received, RequestRefused, receive
from survfuse.serve.work import check, predict

MOST_RECEIVED = 8  # forms at a time
MOST_WAITING = 20  # runs
CHECK_LIMIT_S, PREDICT_LIMIT_S = 900.0, 6 * 3600.0
EXPIRY_S = 60.0  # between looks at what was left


@dataclass
class Served:
    """What the pages are made of and lead to.

    token: shows that a form was given out by this server. receiving: forms that are being sent.
    """

    package: Package
    out: Path
    token: str
    limits: Limits
    form: Form
    pages: Pages
    checking: RunQueue
    predicting: RunQueue
    receiving: int = field(default=0)

    def expire(self) -> None:
        """Remove what was sent an hour ago and not predicted."""
        busy = frozenset(self.checking.names() + self.predicting.names())
        remove_unfinished(self.out, UNFINISHED_S, busy)


def make_app(
    package: Package, means: Means, out: Path, names: frozenset[str], token: str, limits: Limits
) -> Starlette:
    """The application. names: of hosts under which it may be asked, see `guard.names_of`."""
    form = form_of(package, means.weights is not None)
    pages = Pages(package, form, token, limits.most_bytes)
    queues = (
        RunQueue(check, means, limit_s=CHECK_LIMIT_S),
        RunQueue(predict, means, limit_s=PREDICT_LIMIT_S),
    )
    served = Served(package, out, token, limits, form, pages, *queues)

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        remove_unfinished(out)
        for queue in queues:
            queue.start()
        expiry = asyncio.create_task(expire(served))
        try:
            yield
        finally:
            expiry.cancel()
            for queue in queues:
                await run_in_threadpool(queue.close)
            remove_unfinished(out)

    app = Starlette(
        routes=[
            Route("/", show_form),
            Route("/several", show_several),
            Route("/send", send_one, methods=["POST"]),
            Route("/send/several", send_several, methods=["POST"]),
            Route("/runs/{run}", show_run),
            Route("/runs/{run}/predict", start_prediction, methods=["POST"]),
            Route("/runs/{run}/{kind}/{name}", show_document),
        ],
        middleware=[Middleware(Guard, names=names, said=pages.said)],
        exception_handlers={
            RequestRefused: refused_as_sentence,
            HTTPException: refused_as_sentence,
        },
        lifespan=life,
    )
    app.state.served, app.state.said = served, pages.said
    return app


async def expire(served: Served) -> None:
    """Look for what was left, for as long as the server runs."""
    while True:
        await asyncio.sleep(EXPIRY_S)
        await run_in_threadpool(served.expire)


def served_by(request: Request) -> Served:
    """What the pages are made of."""
    served: Served = request.app.state.served
    return served


def run_of(request: Request) -> Run:
    """The run that a request names; there is a page for those that are not there."""
    run = find_run(served_by(request).out, request.path_params["run"])
    if run is None:
        raise HTTPException(404)
    return run


async def show_form(request: Request) -> Response:
    """The form for one patient."""
    return served_by(request).pages.form(several=False)


async def show_several(request: Request) -> Response:
    """The form for several patients."""
    return served_by(request).pages.form(several=True)


async def send_one(request: Request) -> Response:
    """One patient was sent."""
    return await send(request, several=False)


async def send_several(request: Request) -> Response:
    """Sheets of several patients were sent."""
    return await send(request, several=True)


async def send(request: Request, several: bool) -> Response:
    """Keep what was sent as a run, and have it checked; or remove it where it is refused."""
    served = served_by(request)
    if served.receiving >= MOST_RECEIVED:
        raise RequestRefused(503, "Others are sending their files; try again in a minute.")
    refuse_if_full(served.checking)
    run, fields = new_run(served.out), served.form.fields(several)
    served.receiving += 1
    try:
        places = served.form.places(several, run.sent)
        received = await receive(request, served.token, fields, places, served.limits)
        refuse_without_patient(received, several)
        sheets = write_sheets(served.package, served.form, received, run)
    except BaseException:
        run.remove()
        raise
    finally:
        served.receiving -= 1
    run.write(CHECKING, sheets=sheets, several=several)
    served.checking.submit(run, after_check)
    return RedirectResponse(f"/runs/{run.name}", status_code=303)


def refuse_if_full(queue: RunQueue) -> None:
    """Raise RequestRefused where too many runs wait already."""
    if len(queue.names()) >= MOST_WAITING:
        raise RequestRefused(503, f"{MOST_WAITING} others wait already; try again later.")


def refuse_without_patient(received: Received, several: bool) -> None:
    """Raise RequestRefused where there is nobody to predict."""
    if several and PATIENTS not in received.files:
        raise RequestRefused(
            400, "Choose the patient sheet; without it there is nobody to predict."
        )
    if not several and not received.values.get(PATIENT):
        raise RequestRefused(400, "Give the patient an id, such as P001; it names the report.")


def after_check(run: Run, outcome: dict[str, Any]) -> None:
    """A run was checked: it waits for a person, or has ended."""
    if outcome["state"] == CHECKED:
        run.update(**outcome)
    else:
        run.end(outcome)


async def start_prediction(request: Request) -> Response:
    """Predict a run that was checked; asked twice, it is predicted once."""
    served, run = served_by(request), run_of(request)
    await receive(request, served.token, frozenset(), {}, served.limits)
    if run.read()["state"] == CHECKED:
        refuse_if_full(served.predicting)
        run.update(PREDICTING)
        served.predicting.submit(run, Run.end)
    return RedirectResponse(f"/runs/{run.name}", status_code=303)


async def show_run(request: Request) -> Response:
    """How far a run is, what is wrong with it, or what was predicted."""
    served, run = served_by(request), run_of(request)
    waiting = {CHECKING: served.checking, PREDICTING: served.predicting}
    names = {state: queue.names() for state, queue in waiting.items()}  # before the state is read
    state_of_run = run.read()
    if state_of_run["state"] in waiting:
        before = names[state_of_run["state"]]
        if run.name not in before:
            state_of_run = {"state": FAILED, "problems": [{"sentence": OF_RUN}]}
        else:
            return served.pages.waiting(run, state_of_run, before.index(run.name))
    return served.pages.run(run, state_of_run)


async def show_document(request: Request) -> Response:
    """A file of what was predicted, if the run has one of that name."""
    run, asked = run_of(request), request.path_params
    state_of_run = run.read()
    address = f"/runs/{run.name}/{asked['kind']}/{asked['name']}"
    found = (
        find_document(run, state_of_run["patients"], address)
        if state_of_run["state"] == DONE
        else None
    )
    if found is None:
        raise HTTPException(404)
    kind, path = found.document.media_type, found.path
    if found.document.shown:
        return served_by(request).pages.report(path)
    if found.document.made:
        bundle = await run_in_threadpool(fhir_bundle, path, run.results.document(path.stem))
        name = f"{path.stem}.fhir.json"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(json.dumps(bundle, indent=1), 200, headers, kind)
    return FileResponse(path, media_type=kind, filename=path.name)
