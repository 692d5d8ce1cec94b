"""What the response's model reads is loaded when the endpoint has returned, in a thread or in the loop."""

import subprocess
import sys
import threading

import uvicorn
from fastapi import Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.pool import StaticPool

engine = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
app = FastAPI()


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    customer: Mapped[Customer] = relationship()


class CustomerOut(BaseModel, from_attributes=True):
    name: str


class OrderOut(BaseModel, from_attributes=True):
    id: int
    customer: CustomerOut


def database():
    with Session(engine) as session:
        yield session


@app.get("/orders", response_model=list[OrderOut])
def orders(session=Depends(database)):
    return session.scalars(select(Order)).all()  # expect: n_plus_one 30


@app.get("/latest", response_model=list[OrderOut])
async def latest(session=Depends(database)):
    query = select(Order).order_by(Order.id.desc())
    return session.scalars(query).all()  # expect: n_plus_one 30


Base.metadata.create_all(engine)
with Session(engine) as filling:
    filling.add_all([Customer(id=number, name=f"c{number}") for number in range(1, 31)])
    filling.add_all([Order(id=number, customer_id=number) for number in range(1, 31)])
    filling.commit()

server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
thread = threading.Thread(target=server.run)
thread.start()
while not server.started:
    thread.join(0.01)
port = server.servers[0].sockets[0].getsockname()[1]
ask = "import sys, urllib.request as r; print(len(r.urlopen(sys.argv[1]).read()))"
for path in ("orders", "latest"):
    subprocess.run([sys.executable, "-I", "-c", ask, f"http://127.0.0.1:{port}/{path}"], check=True)
server.should_exit = True
thread.join()
print("ok")
