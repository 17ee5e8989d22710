"""A re-identification service: send the crops of a tracklet, find who it is, forget them.

    pip install ".[gallery]" fastapi uvicorn python-multipart prometheus-client
    cd examples/service
    DENSEIL_TOKEN=secret uvicorn --factory app:from_environment

The environment says what it serves: DENSEIL_TOKEN (required), DENSEIL_MODEL (a name, folder or hf-hub:... ;
denseil_mobilenetv2) and DENSEIL_GALLERY (a folder, s3://... or Milvus; ./people).
"""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from batching import Batcher, BusyError
from fastapi import APIRouter, FastAPI, File, Form, HTTPException, Request, Response, UploadFile
from fastapi.responses import JSONResponse
from guard import LIMITS, BoundedBody, Limits, RequireToken, read_crops
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.concurrency import run_in_threadpool

import denseil
from denseil.gallery import Gallery, Record, Where
from denseil.models import model_id

Crops = Annotated[list[UploadFile], File(description="crops of one tracklet in time order, JPEG or PNG")]


def from_environment() -> FastAPI:
    """Make the service that the environment describes; see above."""
    token = os.environ.get("DENSEIL_TOKEN", "")
    if not token:
        raise SystemExit("DENSEIL_TOKEN is empty: set the token that clients must send")
    embedder = denseil.Embedder(os.environ.get("DENSEIL_MODEL", "denseil_mobilenetv2"))
    gallery = denseil.gallery.open(
        os.environ.get("DENSEIL_GALLERY", "people"),
        dim=embedder.num_features,
        model=model_id(embedder.model, embedder.preprocessing),  # vectors of another model are refused
    )
    return create_app(embedder, gallery, token)


def create_app(
    embedder: denseil.Embedder, gallery: Gallery, token: str, *, limits: Limits = LIMITS, waiting: int = 64
) -> FastAPI:
    """Make the service.

    Args:
        embedder: What makes vectors.
        gallery: Where they are kept; its width and its model are the embedder's.
        token: What clients send as `Authorization: Bearer TOKEN`.
        limits: Bounds of a request.
        waiting: Most tracklets that may wait for the model; more are answered 503.
    """
    batcher = Batcher(embedder, waiting=waiting)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with batcher:
            yield

    app = FastAPI(title="denseil", version=denseil.__version__, lifespan=lifespan)
    app.add_middleware(BoundedBody, limit=limits.request_bytes)
    app.add_middleware(RequireToken, token=token)
    _count_requests(app, batcher, gallery)
    app.include_router(_endpoints(batcher, gallery, limits))
    app.add_exception_handler(
        BusyError, lambda *_: JSONResponse({"detail": "busy: try again in a second"}, 503, {"Retry-After": "1"})
    )
    for kind in (TypeError, ValueError):  # what the library says of bad values
        app.add_exception_handler(kind, lambda _, error: JSONResponse({"detail": str(error)}, 422))
    return app


def _endpoints(batcher: Batcher, gallery: Gallery, limits: Limits) -> APIRouter:
    router = APIRouter(prefix="/v1")

    @router.post("/embed")
    async def embed(crops: Crops) -> dict[str, Any]:
        """Compute the vector of a tracklet."""
        return {"vector": (await batcher.embed(await read_crops(crops, limits))).tolist()}

    @router.post("/tracklets", status_code=201)
    async def add(
        crops: Crops,
        id: Annotated[str, Form()],
        camid: Annotated[int, Form()],
        start: Annotated[float, Form()] = 0.0,
        end: Annotated[float | None, Form()] = None,
        track: Annotated[str, Form()] = "",
        pid: Annotated[int | None, Form()] = None,
    ) -> dict[str, Any]:
        """Keep a tracklet; `new` is false if its id was held already."""
        record = Record(
            id, camid=camid, start=start, end=end, track=track, pid=pid
        )  # checked before anything is computed
        vector = await batcher.embed(await read_crops(crops, limits))
        return {"id": id, "new": bool(await run_in_threadpool(gallery.add, [record], vector[None]))}

    @router.post("/search")
    async def search(
        crops: Crops,
        k: Annotated[int, Form(ge=1, le=100)] = 10,
        camids: Annotated[list[int] | None, Form()] = None,
    ) -> list[dict[str, Any]]:
        """Find the nearest tracklets; distances are cosine distances."""
        where = Where(camids=camids) if camids else None
        vector = await batcher.embed(await read_crops(crops, limits))
        (hits,) = await run_in_threadpool(gallery.search, vector, k, where=where)
        return [
            {
                "id": h.record.id,
                "camid": h.record.camid,
                "start": h.record.start,
                "pid": h.record.pid,
                "distance": h.distance,
            }
            for h in hits
        ]

    @router.delete("/tracklets/{id:path}")
    def forget_tracklet(id: str) -> dict[str, int]:
        """Remove a tracklet, from the files as well."""
        return _gone(gallery, gallery.delete([id]))

    @router.delete("/persons/{pid}")
    def forget_person(pid: int) -> dict[str, int]:
        """Remove all tracklets of a person, from the files as well."""
        return _gone(gallery, gallery.forget(pid=pid))

    return router


def _gone(gallery: Gallery, count: int) -> dict[str, int]:
    gallery.optimize()  # also if nothing is held: an earlier request may have failed after it had removed the records
    if count == 0:
        raise HTTPException(404, "nothing is held under this name")
    return {"forgotten": count}


def _count_requests(app: FastAPI, batcher: Batcher, gallery: Gallery) -> None:
    """`/healthz`, and `/metrics` for Prometheus."""
    registry = CollectorRegistry()
    requests = Counter("denseil_requests_total", "Requests by path and status.", ("path", "status"), registry=registry)
    seconds = Histogram("denseil_request_seconds", "Time of a request.", ("path",), registry=registry)
    Gauge("denseil_waiting", "Tracklets that wait for the model.", registry=registry).set_function(
        lambda: batcher.waiting
    )

    @app.middleware("http")
    async def measure(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        begin = time.perf_counter()
        response = await call_next(request)
        route = request.scope.get("route")
        path = route.path if route else "unknown"  # never a client's own text: each would be a time series
        requests.labels(path, response.status_code).inc()
        seconds.labels(path).observe(time.perf_counter() - begin)
        return response

    @app.get("/healthz")
    def health() -> dict[str, int]:
        """Whether the service works, and how many tracklets it holds."""
        return {"tracklets": gallery.count()}

    @app.get("/metrics")
    def metrics() -> Response:
        """What Prometheus reads."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
