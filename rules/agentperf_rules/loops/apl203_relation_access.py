from __future__ import annotations

from agentperf_rules.base import Shape
from agentperf_rules.loops.base import LoopRule
from agentperf_rules.model import Finding, Suspect


class RelationAccessInLoop(LoopRule):
    """## What it does
    Finds related objects (foreign keys, reverse and many-to-many relations, SQLAlchemy relationships) that are read
    once
    per element of a loop over objects which were loaded without them.

    ## Why is this bad?
    The first access of a relation that is not loaded is a query, and the loop makes it one query per object.

    ## Example
    ```python
    for book in Book.objects.all():
        print(book.author.name)
    ```

    ## Use instead
    ```python
    for book in Book.objects.select_related("author"):
        print(book.author.name)
    ```
    """

    code = "APL203"
    name = "relation-access-in-loop"
    severity = "medium"
    what = "relation"
    batch = (
        "load the relation with the list: select_related or prefetch_related (Django), "
        "selectinload or joinedload (SQLAlchemy)"
    )

    valid = (
        """\
from django.db import models

class Author(models.Model):
    name = models.CharField(max_length=9)

class Book(models.Model):
    author = models.ForeignKey(Author, on_delete=models.CASCADE)

def names():
    return [book.author.name for book in Book.objects.select_related("author")]
""",
    )
    invalid = (
        """\
from django.db import models

class Author(models.Model):
    name = models.CharField(max_length=9)

class Book(models.Model):
    author = models.ForeignKey(Author, on_delete=models.CASCADE)

def names():
    return [book.author.name for book in Book.objects.all()]  # expect
""",
    )

    def check(self, suspect: Suspect, shape: Shape) -> Finding | None:
        if shape.node is not None:
            from agentperf_rules.relations import is_loaded_or_assigned

            if is_loaded_or_assigned(shape):
                return None
        return super().check(suspect, shape)
