"""Queries on orders."""

import redis.asyncio
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, joinedload

from shop.database import Customer, Order

cache = redis.asyncio.Redis()


def customer_of(session: Session, order: Order) -> Customer | None:
    return session.get(Customer, order.customer_id)


def emails_of_all(session: Session) -> list[str]:
    orders = session.scalars(select(Order)).all()
    return [order.customer.email for order in orders]  # slow: APL203


def emails_of_all_at_once(session: Session) -> list[str]:
    orders = session.scalars(select(Order).options(joinedload(Order.customer))).all()
    return [order.customer.email for order in orders]


def customers_of(session: Session, orders: list[Order]) -> list[Customer | None]:
    found = []
    for order in orders:
        found.append(customer_of(session, order))  # slow: APL202
    return found


async def totals(session: AsyncSession, customer_ids: list[int]) -> dict[int, int]:
    found = {}
    for customer_id in customer_ids:
        result = await session.execute(select(Order).where(Order.customer_id == customer_id))  # slow: APL202
        found[customer_id] = sum(order.total for order in result.scalars())
    return found


async def totals_at_once(session: AsyncSession, customer_ids: list[int]) -> dict[int, int]:
    found = dict.fromkeys(customer_ids, 0)
    result = await session.execute(select(Order).where(Order.customer_id.in_(customer_ids)))
    for order in result.scalars():
        found[order.customer_id] += order.total
    return found


async def views(order_ids: list[int]) -> list[bytes | None]:
    counts = []
    for order_id in order_ids:
        counts.append(await cache.get(f"views:{order_id}"))  # slow: APL206
    return counts


async def views_at_once(order_ids: list[int]) -> list[bytes | None]:
    return await cache.mget([f"views:{order_id}" for order_id in order_ids])
