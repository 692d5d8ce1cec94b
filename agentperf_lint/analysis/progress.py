"""How a run tells how far it is, without knowing who shows it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of one stage after another."""

    def start(self, stage: str, total: int) -> None:
        """Begins `stage`, which has `total` steps."""

    def advance(self, n: int) -> None:
        """Says that `n` more steps of the current stage are done."""

    def stop(self) -> None:
        """Ends the current stage."""
