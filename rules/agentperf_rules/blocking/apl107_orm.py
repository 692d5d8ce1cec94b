from __future__ import annotations

from agentperf_rules.blocking.base import BlockingRule


class BlockingOrm(BlockingRule):
    """## What it does
    Finds synchronous ORM queries (Django, SQLAlchemy, Peewee) evaluated in async functions, iteration included.

    ## Why is this bad?
    Each evaluation is a database round trip on the event loop. Django refuses many of them at run time with
    `SynchronousOnlyOperation`.

    ## Example
    ```python
    from app.models import Book

    async def book(key):
        return Book.objects.get(pk=key)
    ```

    ## Use instead
    ```python
    from app.models import Book

    async def book(key):
        return await Book.objects.aget(pk=key)
    ```
    """

    code = "APL107"
    name = "blocking-orm-in-async"
    severity = "high"
    what = "blocking ORM query"
    is_shared = False

    valid = (
        """\
from django.db import models

class Book(models.Model):
    title = models.CharField(max_length=99)

async def book(key):
    query = Book.objects.filter(pk=key)
    return await query.afirst()
""",
    )
    invalid = (
        """\
from django.db import models

class Book(models.Model):
    title = models.CharField(max_length=99)

async def book(key):
    return Book.objects.get(pk=key)  # expect
""",
    )
