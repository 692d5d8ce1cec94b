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


def titles(books):
    return [f"{book.title} ({book.publisher.name})" for book in books]  # expect: n_plus_one 25


with connection.schema_editor() as editor:
    editor.create_model(Publisher)
    editor.create_model(Book)
Publisher.objects.bulk_create([Publisher(id=n, name=f"p{n}") for n in range(1, 26)])
Book.objects.bulk_create([Book(publisher_id=n, title=f"t{n}") for n in range(1, 26)])
assert len(titles(Book.objects.all())) == 25
assert len([book.publisher.name for book in Book.objects.select_related("publisher")]) == 25
assert sum(len(publisher.books.all()) for publisher in Publisher.objects.prefetch_related("books")) == 25
print("ok")
