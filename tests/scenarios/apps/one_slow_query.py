import os

import psycopg

with psycopg.connect(os.environ["PG_DSN"]) as connection:
    connection.execute("select count(*) from pg_class")
    connection.execute("select count(*) from pg_type, (select pg_sleep(0.7)) s")  # expect: bottleneck
    connection.execute("select count(*) from pg_namespace")
print("ok")
