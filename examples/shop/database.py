"""Tables, and sessions of an SQLite file."""

from collections.abc import AsyncIterator

from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from shop.config import config

engine = create_async_engine(config.database)
new_session = async_sessionmaker(engine, expire_on_commit=False)

CUSTOMERS, ORDERS = 30, 60


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    orders: Mapped[list["Order"]] = relationship(back_populates="customer")


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    total: Mapped[int]
    customer: Mapped[Customer] = relationship(back_populates="orders")


class Event(Base):
    __tablename__ = "events"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


async def get_session() -> AsyncIterator[AsyncSession]:
    async with new_session() as session:
        yield session


async def create_tables() -> None:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with new_session() as session:
        session.add_all([Customer(id=n, email=f"customer{n}@example.org") for n in range(1, CUSTOMERS + 1)])
        session.add_all([Order(id=n, customer_id=n % CUSTOMERS + 1, total=n) for n in range(1, ORDERS + 1)])
        await session.commit()
