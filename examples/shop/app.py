"""The endpoints."""

from typing import Annotated

from fastapi import Depends, FastAPI
from sqlalchemy.orm import Session

from shop import orders
from shop.database import Order, get_session
from shop.payments import PaymentClient
from shop.settings import settings

app = FastAPI()
payments = PaymentClient("https://payments.example.org")

Database = Annotated[Session, Depends(get_session)]


@app.get("/")
async def index() -> dict[str, str]:
    return {"shop": settings.shop_name}  # slow: APL103


@app.get("/orders/{order_id}")
async def order(order_id: int, session: Database) -> dict[str, int]:
    found = session.get(Order, order_id)  # slow: APL107
    return {"total": found.total if found else 0}


@app.get("/orders/{order_id}/paid")
async def paid(order_id: int) -> bool:
    return await payments.is_paid(order_id)


@app.get("/emails")
def emails(session: Database) -> list[str]:
    # FastAPI runs a plain function in a thread.
    return orders.emails_of_all_at_once(session)
