"""What measuring a request costs: this middleware beside others, around the same FastAPI application, in turns.

Requests are made in process, without a server or a client. The others are of the `bench` extra (`pip install
'agentperf-lint[bench]'`); those that are not installed are left out.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

from fastapi import FastAPI

from agentperf_runtime import PerformanceMiddleware, RequestStats
from agentperf_runtime.tracer import Tracer
from benchmarks import pages
from benchmarks.corpus import HERE

RESULTS = HERE / "results" / "middleware.md"
REQUESTS = 1_000
_AIM = 15  # microseconds
_NAMES = {
    "prometheus_fastapi_instrumentator": "prometheus-fastapi-instrumentator",
    "starlette_exporter": "starlette-exporter",
    "opentelemetry.instrumentation.asgi": "opentelemetry-instrumentation-asgi",
}


def application() -> FastAPI:
    app = FastAPI()

    @app.get("/items/{item}")
    async def item(item: str) -> str:
        return item

    return app


def agentperf(app: Any) -> Any:
    return PerformanceMiddleware(app)


def agentperf_otel(app: Any) -> Any:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    from agentperf_runtime.middleware.otel import OpenTelemetryMetrics

    provider = MeterProvider([InMemoryMetricReader()])
    return PerformanceMiddleware(app, RequestStats([OpenTelemetryMetrics(provider)]))


def instrumentator(app: Any) -> Any:
    from prometheus_client import CollectorRegistry
    from prometheus_fastapi_instrumentator import Instrumentator

    Instrumentator(registry=CollectorRegistry()).instrument(app)
    return app


def exporter(app: Any) -> Any:
    from starlette_exporter import PrometheusMiddleware

    app.add_middleware(PrometheusMiddleware)
    return app


def opentelemetry(app: Any) -> Any:
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    return OpenTelemetryMiddleware(app, meter_provider=MeterProvider([InMemoryMetricReader()]))


def contestants() -> dict[str, Callable[[Any], Any]]:
    every: dict[str, Callable[[Any], Any]] = {"nothing": lambda app: app, "agentperf": agentperf}
    if _is_installed("opentelemetry.sdk"):
        every["agentperf, OpenTelemetry metrics"] = agentperf_otel
    makers = {
        "prometheus_fastapi_instrumentator": instrumentator,
        "starlette_exporter": exporter,
        "opentelemetry.instrumentation.asgi": opentelemetry,
    }
    every.update({_NAMES[module]: make for module, make in makers.items() if _is_installed(module)})
    return every


async def serve(app: Any, requests: int) -> float:
    """Microseconds of processor time for a request."""
    body = {"type": "http.request", "body": b"", "more_body": False}

    async def receive() -> Any:
        return body

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200

    begun = process_time()
    for _ in range(requests):
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
            "path": "/items/one", "raw_path": b"/items/one", "query_string": b"", "root_path": "", "headers": [],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
        }  # fmt: skip
        await app(scope, receive, send)
    return (process_time() - begun) / requests * 1e6


def measure(apps: dict[str, Any], rounds: int) -> dict[str, list[float]]:
    async def main() -> dict[str, list[float]]:
        cost: dict[str, list[float]] = {name: [] for name in apps}
        names = list(apps)
        for turn in range(rounds + 1):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                cost[name].append(await serve(apps[name], REQUESTS))
        return {name: each[1:] for name, each in cost.items()}

    return asyncio.run(main())


def table(cost: dict[str, list[float]]) -> str:
    (base, *_) = cost.values()
    rows = ["| | us for a request | added us |", "|---|--:|--:|"]
    for name, each in cost.items():
        added = median(own - nothing for own, nothing in zip(each, base))
        rows.append(f"| {name} | {median(each):.1f} | {added:+.1f} |")
    return "\n".join(rows) + "\n"


def heading(rounds: int) -> str:
    packages = ["fastapi", "prometheus-client", "opentelemetry-sdk", *_NAMES.values()]
    versions = ", ".join(f"{package} {_version(package)}" for package in packages)
    return (
        "# What the middleware costs\n\n"
        "Written by `python -m benchmarks.middleware`: do not edit.\n\n"
        f"{os.cpu_count()} processors, {platform.platform(terse=True)}, CPython {platform.python_version()};"
        f" {versions}. Processor time, medians of {rounds} rounds of {REQUESTS:,} requests to a FastAPI application"
        f" that does nothing, without server and client. Aim: at most {_AIM} us."
        " opentelemetry-instrumentation-asgi makes spans too, which go nowhere here.\n"
    )


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "is not installed"


def main(arguments: list[str] | None = None) -> None:
    parser = pages.options(__doc__, RESULTS, 20)
    options = parser.parse_args(arguments)
    plain = table(measure({name: make(application()) for name, make in contestants().items()}, options.rounds))
    with tempfile.TemporaryDirectory() as directory, Tracer(Path(directory) / "middleware.trace"):
        traced = {"the tracer": application(), "the tracer, agentperf": agentperf(application())}
        with_tracer = table(measure(traced, options.rounds))
    text = "\n".join(
        [heading(options.rounds), plain, "While the tracer runs, which counts what a request makes:\n", with_tracer]
    )
    pages.write(text, options.output)


if __name__ == "__main__":
    main()
