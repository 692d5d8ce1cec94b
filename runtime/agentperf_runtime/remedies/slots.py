"""A number of slots, given to tasks in the order in which they asked."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Any


class Slots:
    """A semaphore without the flaws of older asyncio's: strictly first come, first served, under any cancellation.

    A slot that was given to a task which is cancelled before it runs again is passed on. For one event loop.
    """

    def __init__(self, number: int) -> None:
        self.free = self._number = number
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()  # a deque removes in O(n)

    @property
    def held(self) -> int:
        """How many are taken."""
        return self._number - self.free

    @property
    def waiting(self) -> int:
        """How many tasks wait for a slot."""
        return len(self._waiting)

    def take_now(self) -> bool:
        """Take a slot if one is free, which none is while others wait for it."""
        if self.free <= 0:
            return False
        self.free -= 1
        return True

    async def take(self, timeout: float | None = None) -> None:
        """Take a slot, after all who asked before. Raises TimeoutError after `timeout` seconds."""
        if self.take_now():
            return
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting[waiter] = None
        timer = None if timeout is None else loop.call_later(timeout, self._expire, waiter)
        try:
            await waiter
        except BaseException:
            self._waiting.pop(waiter, None)
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.give()
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def give(self) -> None:
        """Give a slot back, to the one who has waited longest."""
        while self._waiting:
            waiter = self._waiting.popitem(last=False)[0]
            if not waiter.done():
                waiter.set_result(None)
                return
        self.free += 1

    def refuse(self, error: Callable[[], Exception]) -> None:
        """Raise an error in each who waits."""
        while self._waiting:
            _fail(self._waiting.popitem(last=False)[0], error())

    def _expire(self, waiter: asyncio.Future[None]) -> None:
        if self._waiting.pop(waiter, self) is None:
            _fail(waiter, TimeoutError())


def _fail(waiter: asyncio.Future[Any], error: Exception) -> None:
    if not waiter.done():
        waiter.set_exception(error)
