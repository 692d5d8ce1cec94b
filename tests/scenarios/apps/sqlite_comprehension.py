import sqlite3

db = sqlite3.connect(":memory:")
db.execute("create table price(sku text primary key, amount integer)")
db.executemany("insert into price values (?, ?)", [(f"sku-{n}", n) for n in range(25)])

cart = [f"sku-{n}" for n in range(25)]
total = sum(db.execute("select amount from price where sku = ?", (sku,)).fetchone()[0] for sku in cart)  # expect: n_plus_one 25
assert total == 300
print("ok")
