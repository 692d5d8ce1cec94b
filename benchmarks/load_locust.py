"""Users for locust who do nothing but ask for the URL in LOAD_URL, run by `benchmarks.load`."""

from __future__ import annotations

import os

from locust import FastHttpUser, task

URL = os.environ["LOAD_URL"]


class Visitor(FastHttpUser):
    host = URL

    @task
    def visit(self) -> None:
        self.client.get(URL)
