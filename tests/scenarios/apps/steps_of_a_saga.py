"""Objects that each ask a service of their own, behind one gateway."""

import asyncio
import os

import httpx


class Step:
    def __init__(self, client, service):
        self.client, self.service = client, service

    async def run(self, order):
        answer = await self.client.get(f"/jobs/{self.service}", params={"order": order})
        return answer.json()["state"]


class Saga:
    def __init__(self, steps):
        self.steps = steps

    async def execute(self, order):
        done = []
        for step in self.steps:
            done.append(await step.run(order))
        return done


async def main():
    services = "auth", "stock", "billing", "shipping", "mail", "audit", "cart"
    async with httpx.AsyncClient(base_url=os.environ["API_URL"]) as client:
        saga = Saga([Step(client, service) for service in services])
        assert len(await saga.execute(7)) == len(services)
    print("ok")


asyncio.run(main())
