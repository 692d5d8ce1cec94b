"""Queries on orders."""

import asyncio

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from shop.database import Customer, Event, Order, new_session


async def customer_of(session: AsyncSession, order: Order) -> Customer | None:
    return await session.scalar(select(Customer).where(Customer.id == order.customer_id))


async def emails(session: AsyncSession) -> list[str]:
    found = []
    for order in await session.scalars(select(Order).order_by(Order.id)):
        customer = await customer_of(session, order)  # slow: APL202
        found.append(customer.email if customer else "")
    return found


async def emails_at_once(session: AsyncSession) -> list[str]:
    orders = await session.scalars(select(Order).options(selectinload(Order.customer)).order_by(Order.id))
    return [order.customer.email for order in orders]


async def totals(session: AsyncSession, customers: list[int]) -> dict[int, int]:
    found = {}
    for customer in customers:
        orders = await session.scalars(select(Order).where(Order.customer_id == customer))  # slow: APL202
        found[customer] = sum(order.total for order in orders)
    return found


async def totals_at_once(session: AsyncSession, customers: list[int]) -> dict[int, int]:
    found = dict.fromkeys(customers, 0)
    for order in await session.scalars(select(Order).where(Order.customer_id.in_(customers))):
        found[order.customer_id] += order.total
    return found


async def biggest_of(customer: int) -> int | None:
    async with new_session() as session:
        query = select(Order.total).where(Order.customer_id == customer).order_by(Order.total.desc()).limit(1)
        return await session.scalar(query)


async def biggest(customers: list[int]) -> list[int | None]:
    return await asyncio.gather(*(biggest_of(customer) for customer in customers))  # slow: APL208


async def log(session: AsyncSession, texts: list[str]) -> None:
    for text in texts:
        await session.execute(insert(Event).values(text=text))  # slow: APL207
    await session.rollback()


async def log_at_once(session: AsyncSession, texts: list[str]) -> None:
    await session.execute(insert(Event), [{"text": text} for text in texts])
    await session.rollback()


async def all_totals(session: AsyncSession) -> int:
    """Page by page, each behind the last order of the one before."""
    last, total = 0, 0
    while True:
        page = (await session.scalars(select(Order).where(Order.id > last).order_by(Order.id).limit(10))).all()
        if not page:
            return total
        total += sum(order.total for order in page)
        last = page[-1].id
