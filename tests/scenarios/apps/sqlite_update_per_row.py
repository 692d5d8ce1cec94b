import sqlite3

db = sqlite3.connect(":memory:")
db.execute("create table stock(sku integer primary key, amount integer)")
db.executemany("insert into stock values (?, 10)", [(n,) for n in range(30)])

for sku, sold in [(n, n % 3) for n in range(30)]:
    db.execute("update stock set amount = amount - ? where sku = ?", (sold, sku))  # expect: n_plus_one 30
db.commit()
print("ok")
