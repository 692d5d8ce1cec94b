from __future__ import annotations

from collections.abc import Iterator

import pytest
from runtime.servers import http_server


@pytest.fixture(scope="session")
def http_url() -> Iterator[str]:
    with http_server() as url:
        yield url
