"""The template of the route that a request took, as its framework tells it. Paths are never given: they have no end."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from typing import Any

_KEY = "agentperf.route"
"""Where a request of Django keeps its route, in the scope or environ."""


def asgi_route(scope: MutableMapping[str, Any]) -> str | None:
    """The template that Starlette, FastAPI, Litestar or Django took for a request, after it was served."""
    route = scope.get("route")
    if route is not None:
        return _starlette_route(route, scope)
    template = scope.get("path_template") or scope.get(_KEY)
    if isinstance(template, str):
        return template
    # Starlette before version 0.47 does not tell the route, but the endpoint.
    name = getattr(scope.get("endpoint"), "__qualname__", None)
    return name if isinstance(name, str) else None


def wsgi_route(environ: MutableMapping[str, Any]) -> str | None:
    """The template that Flask or Django took for a request."""
    template = environ.get(_KEY)
    if isinstance(template, str):
        return template
    return _flask_route(environ)


def watch_django(app: Any) -> None:
    """Let `app`, when it is a handler of Django's, leave the route of each request where the functions above look."""
    base = sys.modules.get("django.core.handlers.base")
    if base is None or not isinstance(app, base.BaseHandler):
        return
    resolve = app.resolve_request

    def resolve_request(request: Any) -> Any:
        match = resolve(request)
        kept = getattr(request, "scope", None)
        (request.environ if kept is None else kept)[_KEY] = f"/{match.route}"
        return match

    app.resolve_request = resolve_request


def _starlette_route(route: Any, scope: MutableMapping[str, Any]) -> str | None:
    if hasattr(route, "routes"):  # a mount: what is below it has no routes, or none that matched
        return f"{_mounted_on(route, scope)}/*"
    template = getattr(route, "path_format", None) or getattr(route, "path", None)
    return _mounted_on(route, scope) + template if isinstance(template, str) else None


def _mounted_on(route: Any, scope: MutableMapping[str, Any]) -> str:
    """The path of the mounts above the route, with the names of their parameters in the place of values."""
    prefix: str = scope.get("root_path", "")
    if not prefix:
        return ""
    segments = prefix.split("/")
    own = () if hasattr(route, "routes") else getattr(route, "param_convertors", ())
    for name, value in (scope.get("path_params") or {}).items():
        if name not in own and str(value) in segments:
            segments[segments.index(str(value))] = f"{{{name}}}"
    return "/".join(segments)


def _flask_route(environ: MutableMapping[str, Any]) -> str | None:
    flask = sys.modules.get("flask")
    if flask is None or not flask.has_request_context():
        return None
    request = flask.request
    rule = request.url_rule
    return rule.rule if rule is not None and request.environ is environ else None
