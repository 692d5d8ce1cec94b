"""Collections of the garbage collector, which stop every thread."""

from __future__ import annotations

import gc
from collections import deque
from time import perf_counter
from typing import Any

_KEPT = 64


class GarbageCollections:
    """Notes when the collector walked more than the youngest objects."""

    def __init__(self) -> None:
        self._began = 0.0
        self._pauses: deque[tuple[float, float]] = deque(maxlen=_KEPT)

    def install(self) -> None:
        gc.callbacks.append(self._noticed)

    def uninstall(self) -> None:
        if self._noticed in gc.callbacks:
            gc.callbacks.remove(self._noticed)

    def seconds_between(self, started: float, ended: float) -> float:
        """Seconds from `started` to `ended`, both on `perf_counter`, in which garbage was collected."""
        return sum(self._between(started, ended))

    def longest_between(self, started: float, ended: float) -> float:
        """Seconds that the longest collection from `started` to `ended` took of that time."""
        return max(self._between(started, ended), default=0.0)

    def _between(self, started: float, ended: float) -> list[float]:
        return [max(0.0, min(ended, last) - max(started, first)) for first, last in list(self._pauses)]

    def _noticed(self, phase: str, info: dict[str, Any]) -> None:
        if not info.get("generation"):
            return
        if phase == "start":
            self._began = perf_counter()
        elif self._began:
            self._pauses.append((self._began, perf_counter()))
            self._began = 0.0
