"""What is stored: files, batches, vector stores."""

from typing import Any

from aiohttp import web

from tests.clients.forms import form
from tests.openai_like import CREATED

Json = dict[str, Any]
Store = dict[str, Json]

_MADE = web.AppKey("made", list[str])
_FILES = web.AppKey("files", dict[str, tuple[Json, bytes]])
_BATCHES = web.AppKey("batches", Store)
_VECTORS = web.AppKey("vectors", Store)


def routes() -> list[web.RouteDef]:
    return [
        web.post("/v1/files", _upload),
        web.get("/v1/files", _files),
        web.get("/v1/files/{id}", _file),
        web.get("/v1/files/{id}/content", _content),
        web.delete("/v1/files/{id}", _delete_file),
        web.post("/v1/batches", _batch),
        web.get("/v1/batches", _batches),
        web.get("/v1/batches/{id}", _one_batch),
        web.post("/v1/batches/{id}/cancel", _cancel),
        web.post("/v1/vector_stores", _vector_store),
        web.get("/v1/vector_stores/{id}", _one_vector_store),
        web.post("/v1/vector_stores/{id}/files", _attach),
        web.post("/v1/vector_stores/{id}/search", _search),
        web.delete("/v1/vector_stores/{id}", _delete_vector_store),
    ]


def opened(app: web.Application) -> None:
    """Nothing is stored yet."""
    app[_MADE] = []
    app[_FILES], app[_BATCHES], app[_VECTORS] = {}, {}, {}


def _fresh(request: web.Request, prefix: str) -> str:
    """An id that nothing has had before."""
    made = request.app[_MADE]
    made.append(f"{prefix}{len(made) + 1}")
    return made[-1]


def _page(objects: list[Json]) -> web.Response:
    ends = {"first_id": objects[0]["id"], "last_id": objects[-1]["id"]} if objects else {}
    return web.json_response({"object": "list", "data": objects, "has_more": False} | ends)


def _found(kept: dict[str, Any], request: web.Request) -> Any:
    if request.match_info["id"] not in kept:
        raise web.HTTPNotFound
    return kept[request.match_info["id"]]


# ---- files ---------------------------------------------------------------------------------------------


async def _upload(request: web.Request) -> web.Response:
    fields = await form(request)
    filename, data = fields["file"]
    kept = request.app[_FILES]
    one: Json = {
        "id": _fresh(request, "file-"),
        "object": "file",
        "bytes": len(data),
        "created_at": CREATED,
        "filename": filename,
        "purpose": fields["purpose"],
        "status": "processed",
    }
    kept[one["id"]] = one, data
    return web.json_response(one)


async def _files(request: web.Request) -> web.Response:
    return _page([one for one, _ in request.app[_FILES].values()])


async def _file(request: web.Request) -> web.Response:
    return web.json_response(_found(request.app[_FILES], request)[0])


async def _content(request: web.Request) -> web.Response:
    data = _found(request.app[_FILES], request)[1]
    disposition = {"content-disposition": 'attachment; filename="data.bin"'}
    return web.Response(body=data, content_type="application/octet-stream", headers=disposition)


async def _delete_file(request: web.Request) -> web.Response:
    one, _ = _found(request.app[_FILES], request)
    del request.app[_FILES][one["id"]]
    return web.json_response({"id": one["id"], "object": "file", "deleted": True})


# ---- batches -------------------------------------------------------------------------------------------


async def _batch(request: web.Request) -> web.Response:
    kept = request.app[_BATCHES]
    one = await request.json() | {
        "id": _fresh(request, "batch_"),
        "object": "batch",
        "status": "validating",
        "created_at": CREATED,
    }
    kept[one["id"]] = one
    return web.json_response(one)


async def _batches(request: web.Request) -> web.Response:
    return _page(list(request.app[_BATCHES].values()))


async def _one_batch(request: web.Request) -> web.Response:
    return web.json_response(_found(request.app[_BATCHES], request))


async def _cancel(request: web.Request) -> web.Response:
    return web.json_response(_found(request.app[_BATCHES], request) | {"status": "cancelling"})


# ---- vector stores -------------------------------------------------------------------------------------


async def _vector_store(request: web.Request) -> web.Response:
    kept = request.app[_VECTORS]
    counts = {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0}
    one: Json = {"id": _fresh(request, "vs_"), "object": "vector_store", "created_at": CREATED} | {
        "name": (await request.json()).get("name"),
        "status": "completed",
        "usage_bytes": 0,
        "file_counts": counts,
        "metadata": {},
    }
    kept[one["id"]] = one
    return web.json_response(one)


async def _one_vector_store(request: web.Request) -> web.Response:
    return web.json_response(_found(request.app[_VECTORS], request))


async def _attach(request: web.Request) -> web.Response:
    store = _found(request.app[_VECTORS], request)
    file = (await request.json())["file_id"]
    return web.json_response(
        {"id": file, "object": "vector_store.file", "created_at": CREATED, "vector_store_id": store["id"]}
        | {"status": "completed", "usage_bytes": 7, "last_error": None}
    )


async def _search(request: web.Request) -> web.Response:
    _found(request.app[_VECTORS], request)
    query = (await request.json())["query"]
    hit = {"file_id": "file-1", "filename": "data.jsonl", "score": 0.9, "attributes": {}}
    data = [hit | {"content": [{"type": "text", "text": f"about {query}"}]}]
    page = {"object": "vector_store.search_results.page", "search_query": [query], "has_more": False}
    return web.json_response(page | {"data": data, "next_page": None})


async def _delete_vector_store(request: web.Request) -> web.Response:
    one = _found(request.app[_VECTORS], request)
    del request.app[_VECTORS][one["id"]]
    return web.json_response({"id": one["id"], "object": "vector_store.deleted", "deleted": True})
