import asyncio

from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


async def load(engine, wanted):
    async with AsyncSession(engine) as session:
        found = []
        for number in wanted:
            found.append(await session.get(Item, number))  # expect: n_plus_one 20
        return found


async def main():
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        session.add_all([Item(id=n, name=f"item {n}") for n in range(1, 21)])
        await session.commit()
    assert all(await load(engine, range(1, 21)))
    await engine.dispose()
    print("ok")


asyncio.run(main())
