"""The endpoints: those under `/slow` have the problems, those under `/fine` their look-alikes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from shop import assistant, orders, payments, reports
from shop.config import config
from shop.database import create_tables, engine, get_session

CUSTOMERS, PRODUCTS = list(range(1, 26)), list(range(1, 16))
QUESTIONS = [f"Where is parcel {number}?" for number in range(8)]
TEXTS = [f"event {number}" for number in range(20)]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    await create_tables()
    app.state.payments = payments.Payments()
    app.state.supplier = httpx.AsyncClient(base_url=config.services, verify=False)
    yield
    await app.state.supplier.aclose()
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
Database = Annotated[AsyncSession, Depends(get_session)]


@app.get("/slow/emails")
async def slow_emails(session: Database) -> int:
    return len(await orders.emails(session))


@app.get("/fine/emails")
async def fine_emails(session: Database) -> int:
    return len(await orders.emails_at_once(session))


@app.get("/slow/totals")
async def slow_totals(session: Database) -> dict[int, int]:
    return await orders.totals(session, CUSTOMERS)


@app.get("/fine/totals")
async def fine_totals(session: Database) -> dict[int, int]:
    return await orders.totals_at_once(session, CUSTOMERS)


@app.get("/slow/biggest")
async def slow_biggest() -> list[int | None]:
    return await orders.biggest(CUSTOMERS)


@app.get("/fine/biggest/{customer}")
async def fine_biggest(customer: int) -> int | None:
    return await orders.biggest_of(customer)


@app.get("/slow/log")
async def slow_log(session: Database) -> None:
    await orders.log(session, TEXTS)


@app.get("/fine/log")
async def fine_log(session: Database) -> None:
    await orders.log_at_once(session, TEXTS)


@app.get("/fine/pages")
async def fine_pages(session: Database) -> int:
    return await orders.all_totals(session)


@app.get("/slow/paid/{order}")
async def slow_paid(order: int) -> bool:
    return await app.state.payments.is_paid(order)


@app.get("/fine/paid/{order}")
async def fine_paid(order: int) -> bool:
    return await app.state.payments.is_paid_in_thread(order)


@app.get("/fine/paid-in-pool/{order}")
def fine_paid_in_pool(order: int) -> bool:
    """FastAPI runs a plain function in a thread."""
    return app.state.payments.status(order) == "paid"


@app.get("/slow/end-of-day")
async def slow_end_of_day() -> None:
    await payments.end_of_day()


@app.get("/fine/end-of-day")
async def fine_end_of_day() -> None:
    await payments.end_of_day_in_thread()


@app.get("/slow/prices")
async def slow_prices() -> dict[int, int]:
    return await payments.prices(app.state.supplier, PRODUCTS)


@app.get("/fine/prices")
async def fine_prices() -> dict[int, int]:
    return await payments.prices_at_once(app.state.supplier, PRODUCTS)


@app.get("/fine/reserve/{product}")
async def fine_reserve(product: int) -> bool:
    return await payments.reserve(app.state.supplier, product)


@app.get("/slow/answers")
async def slow_answers() -> int:
    return len(await assistant.answers(QUESTIONS))


@app.get("/fine/conversation")
async def fine_conversation() -> int:
    return await assistant.conversation("Where is my parcel?", 7)


@app.get("/slow/title")
async def slow_title() -> str:
    return await reports.title()


@app.get("/fine/title")
async def fine_title() -> str:
    return await reports.title_in_thread()


@app.get("/slow/monthly/{month}")
async def slow_monthly(month: str) -> str:
    return await reports.monthly(month)


@app.get("/fine/monthly/{month}")
async def fine_monthly(month: str) -> str:
    return await reports.monthly_in_thread(month)


@app.get("/slow/password")
async def slow_password() -> str:
    return await reports.hashed("secret")


@app.get("/fine/password")
async def fine_password() -> str:
    return await reports.hashed_in_thread("secret")


@app.get("/slow/archive")
async def slow_archive() -> int:
    return await reports.archived()


@app.get("/fine/archive/{month}")
async def fine_archive(month: str) -> str:
    return reports.archive_name(month)
