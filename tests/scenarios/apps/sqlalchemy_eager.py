"""The same with `selectinload` and `joinedload`: two statements, and one."""

from sqlalchemy import ForeignKey, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, joinedload, mapped_column, relationship, selectinload


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customer"
    id: Mapped[int] = mapped_column(primary_key=True)
    orders: Mapped[list["Order"]] = relationship(back_populates="customer")


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"))
    customer: Mapped[Customer] = relationship(back_populates="orders")


engine = create_engine("sqlite://")
Base.metadata.create_all(engine)
with Session(engine) as session:
    session.add_all([Customer(id=n, orders=[Order(), Order()]) for n in range(1, 1_201)])
    session.commit()

with Session(engine) as session:
    for customer in session.scalars(select(Customer).options(selectinload(Customer.orders))):
        assert len(customer.orders) == 2
with Session(engine) as session:
    for order in session.scalars(select(Order).options(joinedload(Order.customer))):
        assert order.customer.id
print("ok")
