import peewee

db = peewee.SqliteDatabase(":memory:")


class User(peewee.Model):
    name = peewee.CharField()

    class Meta:
        database = db


class Tweet(peewee.Model):
    user = peewee.ForeignKeyField(User, backref="tweets")

    class Meta:
        database = db


db.create_tables([User, Tweet])
User.insert_many([{"name": f"user {n}"} for n in range(30)]).execute()
Tweet.insert_many([{"user": n % 30 + 1} for n in range(90)]).execute()


def counts():
    for user in User.select():
        yield user.name, user.tweets.count()  # expect: n_plus_one 30


assert dict(counts())["user 3"] == 3
print("ok")
