"""Middleware that measures each request of an ASGI or WSGI application, with or without a tracer."""

from __future__ import annotations

from agentperf_runtime.middleware.asgi import PerformanceMiddleware
from agentperf_runtime.middleware.requests import RequestStats
from agentperf_runtime.middleware.wsgi import WsgiPerformanceMiddleware

__all__ = ["PerformanceMiddleware", "RequestStats", "WsgiPerformanceMiddleware"]
