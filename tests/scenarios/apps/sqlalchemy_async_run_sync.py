"""A lazy relation inside `run_sync`: the application's line is in another greenlet."""

import asyncio

from sqlalchemy import ForeignKey, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Team(Base):
    __tablename__ = "team"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Player(Base):
    __tablename__ = "player"
    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"))
    team: Mapped[Team] = relationship()


def names(session):
    players = session.scalars(select(Player)).all()
    return [player.team.name for player in players]  # expect: n_plus_one 24


async def main():
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        session.add_all([Team(id=n, name=f"team {n}") for n in range(1, 25)])
        session.add_all([Player(id=n, team_id=n) for n in range(1, 25)])
        await session.commit()
    async with AsyncSession(engine) as session:
        assert len(await session.run_sync(names)) == 24
    await engine.dispose()
    print("ok")


asyncio.run(main())
