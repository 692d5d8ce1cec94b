"""urllib3, where no client above it has recorded the request (botocore and clients of search engines use it)."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.sources.calls import Call, synchronous
from agentperf_runtime.sources.http_calls import answered, request_of

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

_answered = answered("status")


def install_pools(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `urllib3.connectionpool`: retries and redirects call `urlopen` again."""
    instrument.patches.replace(
        module.HTTPConnectionPool, "urlopen", synchronous(instrument, "http", _pool_request, _answered)
    )


def install_manager(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `urllib3.poolmanager`."""
    instrument.patches.replace(
        module.PoolManager, "urlopen", synchronous(instrument, "http", _manager_request, _answered)
    )


def _pool_request(pool: Any, method: str, url: str, body: Any = None, *args: Any, **kwargs: Any) -> Call:
    if url.startswith("/"):
        url = f"{pool.scheme}://{pool.host}:{pool.port}{url}"
    return request_of(method, url, body)


def _manager_request(manager: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Call:
    return request_of(method, url, kwargs.get("body"))
