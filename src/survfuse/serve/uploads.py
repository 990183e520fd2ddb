"""Receiving a form: values and files of a request, written to disk as they come, within limits."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

TOKEN = "token"  # the field that shows that a form is ours; it is the first one
SUFFIX = re.compile(r"(\.[A-Za-z0-9]{1,8})?\.gz$|\.[A-Za-z0-9]{1,8}$", re.IGNORECASE)
OWN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
DRAIN_S = (
    20.0  # for what is still sent of a request that is refused; a browser reads no answer before
)


class RequestRefused(Exception):
    """A request that is not done, with the status of HTTP and a sentence for people."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


@dataclass(frozen=True)
class Limits:
    """What one request may bring, and how long it may take."""

    most_bytes: int
    most_files: int = 2000  # a series of DICOM slices has some hundreds
    most_field_bytes: int = 2000
    silence_s: float = 30.0
    whole_s: float = 3600.0


@dataclass(frozen=True)
class Place:
    """Where the files of a field are written: in `folder`, as `stem`, or numbered if it has many.

    own_names: they keep their names, because a sheet lists them by name.
    """

    folder: Path
    stem: str = ""
    many: bool = False
    own_names: bool = False


@dataclass
class Received:
    """What came: the values by field, and the files by field in the order in which they came."""

    values: dict[str, str] = field(default_factory=dict)
    files: dict[str, list[Path]] = field(default_factory=dict)


async def receive(
    request: Request,
    token: str,
    fields: frozenset[str],
    places: Mapping[str, Place],
    limits: Limits,
) -> Received:
    """Receive a form of these fields and files and no others.

    Raises RequestRefused where anything is wrong with it, once the other side has stopped sending,
    or ClientDisconnect where that is gone.
    """
    chunks = request.stream()
    try:
        async with asyncio.timeout(limits.whole_s):
            return await parsed(request, chunks, Reception(token, fields, places, limits), limits)
    except TimeoutError:
        raise RequestRefused(408, "The form came too slowly, and was given up.") from None
    except RequestRefused:
        await drain(chunks)
        raise


async def parsed(
    request: Request, chunks: AsyncIterator[bytes], reception: Reception, limits: Limits
) -> Received:
    """Feed the body to a reception; see `receive`."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise RequestRefused(415, "This is not the form of this page.")
    announced = request.headers.get("content-length", "")
    received = int(announced) if announced.isdecimal() else 0
    refuse_too_large(received, limits)
    try:
        parser = MultipartParser(options[b"boundary"], reception.callbacks())
        received = 0
        while chunk := await asyncio.wait_for(anext(chunks, b""), limits.silence_s):
            received += len(chunk)
            refuse_too_large(received, limits)
            parser.write(chunk)
    except FormParserError:
        raise RequestRefused(400, "The form could not be read; load the page again.") from None
    finally:
        reception.close()
    if not reception.whole:
        raise RequestRefused(400, "The form did not arrive whole; send it again.")
    reception.require_token()
    return reception.received


def refuse_too_large(n_bytes: int, limits: Limits) -> None:
    """Raise RequestRefused where a request is larger than allowed."""
    if n_bytes > limits.most_bytes:
        most = limits.most_bytes / 2**20
        raise RequestRefused(
            413,
            f"The files are larger than {most:,.0f} MiB together, which is the limit of this page; "
            "whoever started it can raise it (--most-mib), or predict them with survfuse predict.",
        )


async def drain(chunks: AsyncIterator[bytes]) -> None:
    """Read what is still sent, for a while, and forget it."""
    try:
        async with asyncio.timeout(DRAIN_S):
            async for _ in chunks:
                pass
    except (TimeoutError, ClientDisconnect, RuntimeError):  # RuntimeError: all was read already
        pass


class Reception:
    """What the parser of a form calls, part by part."""

    def __init__(
        self, token: str, fields: frozenset[str], places: Mapping[str, Place], limits: Limits
    ) -> None:
        self.token = token
        self.fields = fields
        self.places = places
        self.limits = limits
        self.received = Received()
        self.whole = False
        self._header = [b"", b""]  # name and value of the one that is read
        self._disposition = b""
        self._name = ""
        self._file: BinaryIO | None = None
        self._ignored = False  # a field for files that was left empty
        self._value = b""
        self._n_files = 0

    def callbacks(self) -> MultipartCallbacks:
        """By the names that the parser gives them."""
        return {
            "on_part_begin": self.begin,
            "on_header_field": lambda data, start, end: self.header(0, data[start:end]),
            "on_header_value": lambda data, start, end: self.header(1, data[start:end]),
            "on_header_end": self.end_header,
            "on_headers_finished": self.open,
            "on_part_data": lambda data, start, end: self.data(data[start:end]),
            "on_part_end": self.end,
            "on_end": self.finish,
        }

    def begin(self) -> None:
        """A part begins."""
        self._disposition, self._value, self._ignored = b"", b"", False

    def header(self, place: int, piece: bytes) -> None:
        """A piece of the name or of the value of a header."""
        self._header[place] += piece

    def end_header(self) -> None:
        """A header is whole."""
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = value
        self._header = [b"", b""]

    def open(self) -> None:
        """The headers of a part are whole: what it is."""
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" not in options:
            if self._name not in {TOKEN, *self.fields} or self._name in self.received.values:
                raise RequestRefused(400, "The form has a field that this page does not have.")
            return
        self.require_token()
        if self._name not in self.places:
            raise RequestRefused(400, "The form has a file that this page does not ask for.")
        name = options[b"filename"].decode("utf-8", "replace")
        self._ignored = not name
        if name:
            self._file = self.create(self.places[self._name], name)

    def create(self, place: Place, name: str) -> BinaryIO:
        """The file that a part is written to, readable by its owner alone."""
        self._n_files += 1
        if self._n_files > self.limits.most_files:
            raise RequestRefused(413, f"Send at most {self.limits.most_files} files at once.")
        files = self.received.files.setdefault(self._name, [])
        if files and not place.many:
            raise RequestRefused(400, "Send one file where the page asks for one.")
        place.folder.mkdir(mode=0o700, exist_ok=True)
        base = name.replace("\\", "/").rpartition("/")[2]
        if place.own_names:
            if not OWN_NAME.fullmatch(base):
                raise RequestRefused(
                    400,
                    "A file has a name that cannot be kept: use letters, digits, dots, - and _, in "
                    "the sheet too.",
                )
        else:
            suffix = SUFFIX.search(base)
            base = f"{len(files) + 1 if place.many else place.stem}{suffix[0] if suffix else ''}"
        path = place.folder / base
        files.append(path)
        try:
            return path.open("xb")
        except FileExistsError:
            raise RequestRefused(400, "Two files have the same name; rename one.") from None

    def data(self, piece: bytes) -> None:
        """A piece of the content of a part."""
        if self._file is not None:
            self._file.write(piece)
        elif not self._ignored:
            self._value += piece
            if len(self._value) > self.limits.most_field_bytes:
                raise RequestRefused(413, "A value is too long; shorten it.")

    def end(self) -> None:
        """A part is whole."""
        if self._file is not None:
            self._file.close()
            self._file = None
        elif not self._ignored:
            text = self._value.decode("utf-8", "replace")
            self.received.values[self._name] = " ".join(text.split())

    def finish(self) -> None:
        """All parts have come."""
        self.whole = True

    def close(self) -> None:
        """Close a file that was left half."""
        if self._file is not None:
            self._file.close()

    def require_token(self) -> None:
        """Raise RequestRefused unless the form is one that this server gave out."""
        given = self.received.values.get(TOKEN, "")
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            raise RequestRefused(
                403,
                "The page is older than the program behind it; load it again, and send it then.",
            )
