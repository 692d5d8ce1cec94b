"""The payment provider's HTTP interface."""

import asyncio
import time

import httpx
import requests


class PaymentClient:
    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.session = requests.Session()

    def _get(self, path: str) -> dict[str, str]:
        response = self.session.get(self.base_url + path, timeout=10)
        return response.json()

    def status(self, order_id: int) -> str:
        return self._get(f"/orders/{order_id}")["status"]

    async def wait_until_paid(self, order_id: int) -> None:
        while self.status(order_id) != "paid":  # slow: APL102
            time.sleep(1)  # slow: APL101

    async def is_paid(self, order_id: int) -> bool:
        # The same helper, run in a thread.
        return await asyncio.to_thread(self.status, order_id) == "paid"


async def exchange_rate(currency: str) -> float:
    async with httpx.AsyncClient() as client:
        response = await client.get(f"https://rates.example.org/{currency}")
    return response.json()["rate"]
