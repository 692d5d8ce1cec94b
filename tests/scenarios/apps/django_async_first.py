import django
from django.conf import settings

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "file:app?mode=memory&cache=shared"}},
    INSTALLED_APPS=[],
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    USE_TZ=True,
)
django.setup()

from django.db import connection, models  # noqa: E402


class Publisher(models.Model):
    name = models.CharField(max_length=20)

    class Meta:
        app_label = "app"


class Book(models.Model):
    publisher = models.ForeignKey(Publisher, models.CASCADE, related_name="books")
    title = models.CharField(max_length=20)

    class Meta:
        app_label = "app"


import asyncio  # noqa: E402


async def newest(publishers):
    found = {}
    for publisher in publishers:
        found[publisher] = await Book.objects.filter(publisher_id=publisher).order_by("-id").afirst()  # expect: n_plus_one 20
    return found


async def main():
    assert len(await newest(range(1, 21))) == 20
    assert len([book async for book in Book.objects.select_related("publisher")]) == 20


with connection.schema_editor() as editor:
    editor.create_model(Publisher)
    editor.create_model(Book)
Publisher.objects.bulk_create([Publisher(id=n, name=f"p{n}") for n in range(1, 21)])
Book.objects.bulk_create([Book(publisher_id=n, title=f"t{n}") for n in range(1, 21)])
asyncio.run(main())
print("ok")
