"""Forms on their way through: what policy must know is read before anything is sent, the rest passes."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Self

from gateway.exchange import Upload
from gateway.policy.formheads import boundary_of, invalid
from gateway.policy.multipart import Part, Scanner
from gateway.spool import Spool

LOOK_AHEAD = 256 * 1024
MODEL = frozenset({"model"})
PROMPT = frozenset({"prompt"})


class FormUpload:
    """A body with what is known of it so far; itself an `exchange.Upload`, of the client's own bytes.

    `fields` are the values of the wanted fields that have been seen. Close it whatever happens: it may hold a
    file. Reading raises what the client's body raises, and InvalidRequest for a form that turns out, on the
    way, to be one that could be read in two ways; its last bytes are not handed out before that is known.
    """

    def __init__(self, upload: Upload, scanner: Scanner | None, room: int) -> None:
        self._upload = upload
        self._scanner = scanner
        self._spool = Spool(room)
        self._live: AsyncIterator[bytes] | None = None  # the client is asked when the first bytes are
        self._arrived = 0  # bytes
        self._handed_out = 0
        self._change: tuple[int, int, bytes] | None = None
        self._spans: dict[str, tuple[int, int]] = {}
        self._fields: dict[str, str] = {}
        self._reading = False
        self._ended = False
        self.complete = False  # the whole form has been seen: what is not in `fields` is not in it

    @property
    def fields(self) -> Mapping[str, str]:
        return self._fields

    @property
    def passed(self) -> bool:
        """All of it has been handed out. Of less than that nobody can have made a request."""
        return self._ended or self._handed_out == self._upload.length

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parts that have begun, in order."""
        return tuple(self._scanner.names) if self._scanner is not None else ()

    @property
    def length(self) -> int | None:
        """Bytes, with the changed model; None: nobody knows."""
        length = self._upload.length
        if length is None or self._change is None:
            return length
        start, end, new = self._change
        return length + len(new) - (end - start)

    def with_model(self, model: str) -> Self:
        """The same form, from now on with this value of its field `model`. Call it before reading.

        Raises ValueError when no `model` has been seen, InvalidRequest when the form cannot hold this one.
        """
        if self._scanner is None or "model" not in self._spans or self._reading:
            raise ValueError("there is no field 'model' that could still be changed")
        new = model.encode()
        if not model.isprintable() or self._scanner.mark in new:
            raise invalid("The form's boundary occurs in the model that is sent.", "model")
        self._change = (*self._spans["model"], new)
        return self

    async def look(self, wanted: frozenset[str], needed: frozenset[str], look_ahead: int) -> None:
        """Read until all wanted fields were seen, or the end; or so many bytes past all needed ones."""
        while not wanted <= self._fields.keys() and not self.complete:
            last = max((self._spans[name][1] for name in needed if name in self._spans), default=0)
            if needed <= self._fields.keys() and self._arrived - last >= look_ahead:
                return
            if data := await self._arrive():
                await self._spool.put(data)

    def __aiter__(self) -> Self:
        if self._reading:
            raise RuntimeError("an upload can be read once")
        self._reading = True
        return self

    async def __anext__(self) -> bytes:
        try:
            while data := await self._spool.take() or await self._arrive():
                if passed := self._changed(data):
                    return passed
        except BaseException:
            self.close()
            raise
        self._ended = True
        self.close()
        raise StopAsyncIteration

    def close(self) -> None:
        """Let go of the file, if there is one. Called again it does nothing."""
        self._spool.close()

    async def _arrive(self) -> bytes:
        """The next bytes from the client, scanned; none at the end."""
        if self._live is None:
            self._live = aiter(self._upload)
        data = await anext(self._live, b"")
        self._arrived += len(data)
        self.complete = not data or self._arrived == self._upload.length
        if self._scanner is not None:
            self._note(self._scanner.feed(data))
            if self.complete:
                self._scanner.end()
        return data

    def _note(self, parts: Iterable[Part]) -> None:
        for part in parts:
            if part.value is not None:
                self._fields[part.name] = part.value
                self._spans[part.name] = (part.start, part.end)

    def _changed(self, data: bytes) -> bytes:
        at = self._handed_out
        self._handed_out += len(data)
        if self._change is None:
            return data
        start, end, new = self._change
        before, after = data[: max(0, start - at)], data[max(0, end - at) :]
        return before + (new if at <= start < self._handed_out else b"") + after

    def __repr__(self) -> str:
        return f"<FormUpload {self._arrived} of {self._upload.length} bytes arrived>"


async def open_upload(
    upload: Upload,
    content_type: str,
    wanted: frozenset[str],
    *,
    needed: frozenset[str] = MODEL,
    texts: frozenset[str] = PROMPT,
    look_ahead: int = LOOK_AHEAD,
) -> FormUpload:
    """Look into a form for the fields `wanted`; without any, or where there is no form, it is passed unread.

    `content_type` has to be the one that is sent on. The fields in `needed` decide what is asked of the
    upstream, so nothing is sent before they were seen or the form has ended: what comes before them is kept,
    in memory up to `look_ahead` bytes, then in a file. So is what comes up to `look_ahead` bytes after them;
    wanted fields further behind are passed on unseen, unless they occurred before. Fields are short, but for
    `texts`.

    Raises InvalidRequest (`invalid_multipart`, `duplicate_key`), Unavailable, and what reading `upload` does.
    """
    boundary = boundary_of(content_type) if wanted else None
    scanner = Scanner(boundary, wanted, texts) if boundary is not None else None
    form = FormUpload(upload, scanner, look_ahead)
    if scanner is not None:
        try:
            await form.look(wanted, needed & wanted, look_ahead)
        except BaseException:
            form.close()
            raise
    return form
