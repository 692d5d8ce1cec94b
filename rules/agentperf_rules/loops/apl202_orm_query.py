from __future__ import annotations

from agentperf_rules.loops.base import LoopRule


class OrmQueryInLoop(LoopRule):
    """## What it does
    Finds ORM queries that are evaluated once per element of a loop, directly or through helpers.
    Loops over pages, chunks, attempts or a fixed handful, polls, and calls that each depend on the last are not
    reported.

    ## Why is this bad?
    This is the N+1 problem: one query for the list, and one more for each of its elements.

    ## Example
    ```python
    def authors(session, books):
        return [session.query(Author).filter_by(id=book.author_id).first() for book in books]
    ```

    ## Use instead
    ```python
    def authors(session, books):
        wanted = {book.author_id for book in books}
        return session.query(Author).filter(Author.id.in_(wanted)).all()
    ```
    """

    code = "APL202"
    name = "orm-query-in-loop"
    severity = "high"
    what = "ORM query"
    batch = "fetch all of them before the loop with filter(id__in=...) or .where(Model.id.in_(...))"

    valid = (
        """\
from sqlalchemy.orm import Session
from app.models import User

def users(session: Session, ids):
    known = {user.id: user for user in session.query(User).filter(User.id.in_(ids))}
    return [known.get(id) for id in ids]
""",
    )
    invalid = (
        """\
from sqlalchemy.orm import Session
from app.models import User

def users(session: Session, ids):
    for id in ids:
        print(session.query(User).filter_by(id=id).first())  # expect
""",
    )
