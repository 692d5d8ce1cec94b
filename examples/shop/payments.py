"""The payment provider and the supplier, over HTTP."""

import asyncio
import time

import httpx

from shop.config import config


class Payments:
    """A client with connections of its own."""

    def __init__(self) -> None:
        self.client = httpx.Client(base_url=config.services, verify=False)

    def _get(self, path: str) -> dict[str, str]:
        return self.client.get(path).json()

    def status(self, order: int) -> str:
        return self._get(f"/payments/{order}")["status"]

    async def is_paid(self, order: int) -> bool:
        return self.status(order) == "paid"  # slow: APL102

    async def is_paid_in_thread(self, order: int) -> bool:
        return await asyncio.to_thread(self.status, order) == "paid"


def _settle() -> None:
    time.sleep(0.12)


def close_books() -> None:
    _settle()


async def end_of_day() -> None:
    close_books()  # slow: APL101


async def end_of_day_in_thread() -> None:
    await asyncio.to_thread(close_books)


async def prices(client: httpx.AsyncClient, products: list[int]) -> dict[int, int]:
    found = {}
    for product in products:
        response = await client.get(f"/prices/{product}")  # slow: APL204
        found[product] = response.json()["price"]
    return found


async def prices_at_once(client: httpx.AsyncClient, products: list[int]) -> dict[int, int]:
    response = await client.get("/prices", params={"ids": ",".join(map(str, products))})
    return {int(product): price for product, price in response.json().items()}


async def reserve(client: httpx.AsyncClient, product: int) -> bool:
    """Tries again while the supplier is busy."""
    for _ in range(20):
        response = await client.post(f"/reservations/{product}")
        if response.status_code == 200:
            return True
        await asyncio.sleep(0.005)
    return False
