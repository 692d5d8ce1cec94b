"""Drivers: one call is one round trip to the server."""

from __future__ import annotations

from agentperf_rules.catalogue.family import Family

JOIN = "one query with WHERE id = ANY(...) or a join"
MANY = "executemany()"

database = Family("database", "high", loop=True, batch=JOIN)

CONNECTION = "commit rollback"
CURSOR = "execute"
FETCHES = "fetchone fetchall fetchmany fetchval"


def _driver(connections: str, cursors: str, use: str) -> None:
    """A synchronous DB-API 2.0 driver: its classes of connections and cursors."""
    connection, cursor = connections.split()[0], cursors.split()[0]
    database.calls(connection, "commit", use=use, loop=False)
    database.calls(connection, "rollback", use=use, loop=False, severity="medium")
    database.calls(cursor, "execute callproc", use=use)
    database.calls(cursor, "executemany executescript nextset", use=use, loop=False)
    database.calls(cursor, "fetchone fetchall fetchmany", use=use, loop=False, severity="medium")
    database.iterating(cursor, use=use, severity="medium", loop=False)
    database.gives(f"{connection}.cursor", cursor)
    database.gives(f"{cursor}.__enter__ {cursor}.execute", cursor)
    database.subclass(" ".join(connections.split()[1:]), connection)
    database.subclass(" ".join(cursors.split()[1:]), cursor)


def _async_driver(connections: str, cursors: str) -> None:
    """Its awaited twin."""
    connection, cursor = connections.split()[0], cursors.split()[0]
    database.awaited(cursor, "execute callproc")
    database.gives(f"{connection}.cursor {connection}.execute {cursor}.__aenter__ {cursor}.execute", cursor)
    database.subclass(" ".join(connections.split()[1:]), connection)
    database.subclass(" ".join(cursors.split()[1:]), cursor)


# sqlite3
_driver("sqlite3.Connection", "sqlite3.Cursor", "aiosqlite")
database.calls("sqlite3", "connect", use="aiosqlite.connect()", severity="medium", loop=False)
database.calls("sqlite3.Connection", "execute", use="aiosqlite")
database.calls("sqlite3.Connection", "executemany executescript backup", use="aiosqlite", loop=False)
database.entering("sqlite3.Connection", use="aiosqlite", severity="low")
database.gives("sqlite3.connect", "sqlite3.Connection")
database.gives("sqlite3.Connection.execute sqlite3.Connection.executemany", "sqlite3.Cursor")
database.alias("sqlite3", "sqlite3.dbapi2 pysqlite2.dbapi2 pysqlite3 sqlcipher3.dbapi2")
_async_driver("aiosqlite.Connection aiosqlite.core.Connection", "aiosqlite.Cursor aiosqlite.cursor.Cursor")
database.awaited("aiosqlite.Connection", "execute execute_insert execute_fetchall")
database.gives("aiosqlite.connect", "aiosqlite.Connection")
database.async_context("aiosqlite.Connection aiosqlite.Cursor")

# PostgreSQL
ASYNCPG = "asyncpg"
_driver("psycopg2.extensions.connection", "psycopg2.extensions.cursor", ASYNCPG)
database.calls("psycopg2", "connect", use="asyncpg.connect()", loop=False)
database.calls("psycopg2.extras", "execute_values execute_batch", use=ASYNCPG, loop=False)
database.calls("psycopg2.extensions.cursor", "copy_expert copy_from copy_to", use=ASYNCPG, loop=False)
database.entering("psycopg2.extensions.connection", use=ASYNCPG, severity="low")
database.gives("psycopg2.connect", "psycopg2.extensions.connection")
database.calls("psycopg2.pool.AbstractConnectionPool", "getconn", use="asyncpg.create_pool()", loop=False, severity="medium")
database.gives("psycopg2.pool.AbstractConnectionPool.getconn", "psycopg2.extensions.connection")
database.subclass("psycopg2.pool.SimpleConnectionPool psycopg2.pool.ThreadedConnectionPool", "psycopg2.pool.AbstractConnectionPool")
database.subclass("psycopg2.extras.DictCursor psycopg2.extras.RealDictCursor psycopg2.extras.NamedTupleCursor", "psycopg2.extensions.cursor")
database.subclass("psycopg2.extras.DictConnection psycopg2.extras.RealDictConnection", "psycopg2.extensions.connection")

_driver("psycopg.Connection", "psycopg.Cursor psycopg.ServerCursor psycopg.ClientCursor", "psycopg.AsyncConnection")
database.calls("psycopg", "connect", use="psycopg.AsyncConnection.connect()", loop=False)
database.calls("psycopg.Connection", "connect", use="psycopg.AsyncConnection.connect()", loop=False)
database.calls("psycopg.Connection", "execute", use="psycopg.AsyncConnection")
database.entering("psycopg.Connection", use="psycopg.AsyncConnection", severity="low")
database.gives("psycopg.connect psycopg.Connection.connect", "psycopg.Connection")
database.gives("psycopg.Connection.execute", "psycopg.Cursor")
_async_driver("psycopg.AsyncConnection", "psycopg.AsyncCursor psycopg.AsyncServerCursor psycopg.AsyncClientCursor")
database.awaited("psycopg.AsyncConnection", "execute")
database.gives("psycopg.AsyncConnection.connect", "psycopg.AsyncConnection")
database.async_context("psycopg.AsyncConnection psycopg.AsyncCursor")
database.calls("psycopg_pool.ConnectionPool", "getconn wait open", use="psycopg_pool.AsyncConnectionPool", loop=False, severity="medium")
database.gives(
    "psycopg_pool.ConnectionPool.getconn psycopg_pool.ConnectionPool.connection psycopg_pool.ConnectionPool().connection",
    "psycopg.Connection",
)
database.gives("psycopg_pool.AsyncConnectionPool.getconn psycopg_pool.AsyncConnectionPool.connection", "psycopg.AsyncConnection")
database.subclass("psycopg_pool.NullConnectionPool", "psycopg_pool.ConnectionPool")
database.subclass("psycopg_pool.AsyncNullConnectionPool", "psycopg_pool.AsyncConnectionPool")
database.alias("psycopg.Connection", "psycopg.connection.Connection")
database.alias("psycopg.AsyncConnection", "psycopg.connection_async.AsyncConnection")
database.alias("psycopg.Cursor", "psycopg.cursor.Cursor")
database.alias("psycopg.AsyncCursor", "psycopg.cursor_async.AsyncCursor")

database.awaited("asyncpg.Connection asyncpg.Pool", "fetch fetchrow fetchval execute", batch="one query with = ANY($1), or executemany()")
database.awaited("asyncpg.prepared_stmt.PreparedStatement", "fetch fetchrow fetchval")
database.gives("asyncpg.connect asyncpg.Pool.acquire", "asyncpg.Connection")
database.gives("asyncpg.create_pool", "asyncpg.Pool")
database.gives("asyncpg.Connection.prepare", "asyncpg.prepared_stmt.PreparedStatement")
database.alias("asyncpg.Connection", "asyncpg.connection.Connection asyncpg.pool.PoolConnectionProxy")
database.alias("asyncpg.Pool", "asyncpg.pool.Pool")
database.async_context("asyncpg.Pool asyncpg.Connection.transaction()")
database.gives("aiopg.create_pool", "aiopg.Pool")
database.gives("aiopg.connect aiopg.Pool.acquire", "aiopg.Connection")
_async_driver("aiopg.Connection", "aiopg.Cursor")
database.calls("pg8000", "connect", use=ASYNCPG, loop=False)
database.calls("pg8000.native.Connection", "run", use=ASYNCPG)
database.calls("pg8000.native", "Connection", use=ASYNCPG, loop=False)

# MySQL
AIOMYSQL = "aiomysql or asyncmy"
_driver("pymysql.Connection", "pymysql.cursors.Cursor pymysql.cursors.DictCursor pymysql.cursors.SSCursor", AIOMYSQL)
database.calls("pymysql", "connect Connection", use="aiomysql.connect()", loop=False)
database.calls("pymysql.Connection", "query ping", use=AIOMYSQL, loop=False)
database.gives("pymysql.connect", "pymysql.Connection")
database.alias("pymysql.Connection", "pymysql.connections.Connection")
database.alias("pymysql.connect", "pymysql.Connect")
_driver("MySQLdb.connections.Connection", "MySQLdb.cursors.Cursor MySQLdb.cursors.DictCursor", AIOMYSQL)
database.calls("MySQLdb", "connect", use="aiomysql.connect()", loop=False)
database.gives("MySQLdb.connect", "MySQLdb.connections.Connection")
database.alias("MySQLdb.connect", "MySQLdb.Connect")
_driver("mysql.connector.MySQLConnection", "mysql.connector.cursor.MySQLCursor", "mysql.connector.aio")
database.calls("mysql.connector", "connect", use="mysql.connector.aio.connect()", loop=False)
database.gives("mysql.connector.connect mysql.connector.pooling.MySQLConnectionPool.get_connection", "mysql.connector.MySQLConnection")
database.subclass("mysql.connector.CMySQLConnection mysql.connector.pooling.PooledMySQLConnection", "mysql.connector.MySQLConnection")
database.alias("mysql.connector.MySQLConnection", "mysql.connector.connection.MySQLConnection")
for library in ("aiomysql", "asyncmy", "mysql.connector.aio"):
    _async_driver(f"{library}.Connection", f"{library}.Cursor {library}.DictCursor {library}.cursors.DictCursor")
    database.gives(f"{library}.connect {library}.Pool.acquire", f"{library}.Connection")
    database.gives(f"{library}.create_pool", f"{library}.Pool")
    database.async_context(f"{library}.Connection {library}.Cursor {library}.Pool")
_driver("mariadb.Connection", "mariadb.Cursor", AIOMYSQL)
database.calls("mariadb", "connect", use="aiomysql.connect()", loop=False)
database.gives("mariadb.connect", "mariadb.Connection")

# Oracle, SQL Server, ODBC, warehouses
_driver("oracledb.Connection", "oracledb.Cursor", "oracledb.connect_async()")
database.calls("oracledb", "connect", use="oracledb.connect_async()", loop=False)
database.gives("oracledb.connect oracledb.ConnectionPool.acquire", "oracledb.Connection")
database.gives("oracledb.create_pool", "oracledb.ConnectionPool")
database.alias("oracledb", "cx_Oracle")
_async_driver("oracledb.AsyncConnection", "oracledb.AsyncCursor")
database.awaited("oracledb.AsyncConnection", "execute fetchone fetchall fetchmany")
database.gives("oracledb.connect_async", "oracledb.AsyncConnection")
_driver("pyodbc.Connection", "pyodbc.Cursor", "aioodbc")
database.calls("pyodbc", "connect", use="aioodbc.connect()", loop=False)
database.calls("pyodbc.Connection", "execute", use="aioodbc")
database.gives("pyodbc.connect", "pyodbc.Connection")
_driver("pymssql.Connection", "pymssql.Cursor", "aioodbc")
database.calls("pymssql", "connect", use="aioodbc.connect()", loop=False)
database.gives("pymssql.connect", "pymssql.Connection")
_async_driver("aioodbc.Connection", "aioodbc.Cursor")
database.gives("aioodbc.connect aioodbc.Pool.acquire", "aioodbc.Connection")
database.gives("aioodbc.create_pool", "aioodbc.Pool")
_driver("snowflake.connector.SnowflakeConnection", "snowflake.connector.cursor.SnowflakeCursor", "snowflake.connector.aio")
database.calls("snowflake.connector", "connect", use="snowflake.connector.aio.connect()", loop=False)
database.gives("snowflake.connector.connect", "snowflake.connector.SnowflakeConnection")
_driver("databricks.sql.client.Connection", "databricks.sql.client.Cursor", "")
database.calls("databricks.sql", "connect", loop=False)
database.gives("databricks.sql.connect", "databricks.sql.client.Connection")
_driver("trino.dbapi.Connection", "trino.dbapi.Cursor", "aiotrino")
database.gives("trino.dbapi.connect", "trino.dbapi.Connection")
_driver("redshift_connector.Connection", "redshift_connector.Cursor", "")
database.calls("redshift_connector", "connect", loop=False)
database.gives("redshift_connector.connect", "redshift_connector.Connection")
database.calls("duckdb", "sql query execute read_csv read_parquet read_json connect", severity="medium", loop=False)
database.calls("duckdb.DuckDBPyConnection", "execute sql query", severity="medium")
database.calls("duckdb.DuckDBPyConnection", "executemany fetchone fetchall fetchmany fetchdf fetch_df df arrow", severity="medium", loop=False)
database.gives("duckdb.connect duckdb.execute duckdb.DuckDBPyConnection.execute duckdb.DuckDBPyConnection.cursor", "duckdb.DuckDBPyConnection")
database.calls("clickhouse_driver.Client", "execute execute_iter query_dataframe insert_dataframe", use="asynch or clickhouse_connect.get_async_client()")
database.calls("clickhouse_connect.driver.Client", "query query_df command insert raw_query", use="clickhouse_connect.get_async_client()")
database.calls("clickhouse_connect", "get_client", use="clickhouse_connect.get_async_client()", loop=False)
database.gives("clickhouse_connect.get_client", "clickhouse_connect.driver.Client")
database.awaited("clickhouse_connect.driver.AsyncClient", "query query_df command insert raw_query")
database.gives("clickhouse_connect.get_async_client", "clickhouse_connect.driver.AsyncClient")
database.calls("influxdb_client.QueryApi", "query query_data_frame query_stream", use="influxdb_client.client.influxdb_client_async.InfluxDBClientAsync")

# databases
database.awaited("databases.Database", "fetch_one fetch_all fetch_val execute")
database.awaited("databases.core.Connection", "fetch_one fetch_all fetch_val execute")
database.gives("databases.Database.connection", "databases.core.Connection")
database.alias("databases.Database", "databases.core.Database")
database.async_context("databases.Database")

# MongoDB: every attribute or item of a client is a database, every one of a database a collection.
MONGO_READS = "find_one count_documents estimated_document_count distinct"
MONGO_WRITES = (
    "insert_one update_one replace_one delete_one find_one_and_update find_one_and_replace find_one_and_delete update_many delete_many"
)
MONGO_BULK = "insert_many bulk_write aggregate command list_collection_names create_index drop list_database_names"
IN_QUERY = 'one find({"_id": {"$in": ids}})'
_sync_mongo = "pymongo.MongoClient pymongo.database.Database pymongo.collection.Collection"
_async_mongo = (
    "pymongo.AsyncMongoClient pymongo.asynchronous.database.AsyncDatabase pymongo.asynchronous.collection.AsyncCollection"
    " motor.motor_asyncio.AsyncIOMotorClient motor.motor_asyncio.AsyncIOMotorDatabase motor.motor_asyncio.AsyncIOMotorCollection"
)
database.below(_sync_mongo, MONGO_READS, use="pymongo.AsyncMongoClient", batch=IN_QUERY)
database.below(_sync_mongo, MONGO_WRITES, use="pymongo.AsyncMongoClient", batch="bulk_write()", write=True)
database.below(_sync_mongo, MONGO_BULK, use="pymongo.AsyncMongoClient", loop=False)
database.below(_async_mongo, MONGO_READS, blocking=False, batch=IN_QUERY)
database.below(_async_mongo, MONGO_WRITES, blocking=False, batch="bulk_write()", write=True)
for owner in _sync_mongo.split():
    database.gives(f"{owner}.**.find {owner}.**.aggregate", "pymongo.cursor.Cursor")
    database.gives(f"{owner}.**.get_collection", "pymongo.collection.Collection")
for owner in _async_mongo.split():
    database.gives(f"{owner}.**.find {owner}.**.aggregate", "pymongo.asynchronous.cursor.AsyncCursor")
    database.gives(f"{owner}.**.get_collection", "pymongo.asynchronous.collection.AsyncCollection")
database.gives("pymongo.MongoClient.get_database pymongo.MongoClient.get_default_database", "pymongo.database.Database")
for owner in ("pymongo.AsyncMongoClient", "motor.motor_asyncio.AsyncIOMotorClient"):
    database.gives(f"{owner}.get_database {owner}.get_default_database", "pymongo.asynchronous.database.AsyncDatabase")
database.methods_give("pymongo.cursor.Cursor", "sort limit skip batch_size hint rewind clone", "self")
database.methods_give("pymongo.asynchronous.cursor.AsyncCursor", "sort limit skip batch_size hint rewind clone", "self")
database.calls("pymongo.cursor.Cursor", "next to_list distinct explain", use="pymongo.AsyncMongoClient", loop=False)
database.iterating("pymongo.cursor.Cursor", use="pymongo.AsyncMongoClient")
database.awaited("pymongo.asynchronous.cursor.AsyncCursor", "to_list", batch=IN_QUERY)
database.alias("pymongo.MongoClient", "pymongo.mongo_client.MongoClient pymongo.synchronous.mongo_client.MongoClient")
database.alias("pymongo.AsyncMongoClient", "pymongo.asynchronous.mongo_client.AsyncMongoClient")
database.alias("pymongo.collection.Collection", "pymongo.synchronous.collection.Collection pymongo.Collection")
database.alias("pymongo.database.Database", "pymongo.synchronous.database.Database pymongo.Database")
database.alias("motor.motor_asyncio", "motor.core motor.aiohttp")
database.alias("motor.motor_asyncio.AsyncIOMotorClient", "motor.MotorClient motor.motor_tornado.MotorClient")

# Search engines and wide-column stores
SEARCH_READS = "get search count exists get_source termvectors explain"
SEARCH_WRITES = "index create update delete"
SEARCH_BULK = "bulk mget msearch update_by_query delete_by_query scroll reindex ping info sql eql"
for package, sync, asynchronous in (
    ("elasticsearch", "Elasticsearch", "AsyncElasticsearch"),
    ("opensearchpy", "OpenSearch", "AsyncOpenSearch"),
):
    database.calls(f"{package}.{sync}", SEARCH_READS, use=f"{package}.{asynchronous}", batch="mget() or msearch()")
    database.calls(f"{package}.{sync}", SEARCH_WRITES, use=f"{package}.{asynchronous}", batch="helpers.bulk()", write=True)
    database.calls(f"{package}.{sync}", SEARCH_BULK, use=f"{package}.{asynchronous}", loop=False)
    database.below(
        f"{package}.{sync}.indices {package}.{sync}.cluster {package}.{sync}.cat",
        "exists create delete refresh get put_mapping get_mapping put_alias health stats indices put_settings",
        use=f"{package}.{asynchronous}",
        loop=False,
    )
    database.awaited(f"{package}.{asynchronous}", SEARCH_READS, batch="mget() or msearch()")
    database.awaited(f"{package}.{asynchronous}", SEARCH_WRITES, batch="helpers.async_bulk()", write=True)
    database.gives(f"{package}.{sync}.options", f"{package}.{sync}")
    database.gives(f"{package}.{asynchronous}.options", f"{package}.{asynchronous}")
    database.calls(f"{package}.helpers", "bulk scan parallel_bulk streaming_bulk reindex", use=f"{package}.helpers.async_bulk()", loop=False)
    database.async_context(f"{package}.{asynchronous}")
database.alias("elasticsearch", "elasticsearch8 elasticsearch7")
database.alias("opensearchpy", "opensearch")
database.calls("elasticsearch_dsl.Search", "execute count scan", use="elasticsearch_dsl.AsyncSearch")
database.calls("cassandra.cluster.Session", "execute", use="execute_async()", batch="execute_concurrent_with_args()")
database.calls("cassandra.cluster.Session", "prepare", use="cassandra.cluster.Session.prepare at startup", loop=False)
database.calls("cassandra.cluster.Cluster", "connect", loop=False)
database.gives("cassandra.cluster.Cluster.connect", "cassandra.cluster.Session")
database.calls("cassandra.cluster.ResponseFuture", "result", use="add_callbacks()", loop=False)
database.gives("cassandra.cluster.Session.execute_async", "cassandra.cluster.ResponseFuture")
database.subclass("scylla.cluster.Session", "cassandra.cluster.Session")
database.calls("aerospike.Client", "get put select exists operate remove query scan increment append", batch="batch_read()")
database.gives("aerospike.client aerospike.Client.connect", "aerospike.Client")
database.calls("neo4j.Session neo4j.Transaction neo4j.ManagedTransaction", "run", use="neo4j.AsyncGraphDatabase", batch="one query with UNWIND $rows")
database.calls("neo4j.Session", "execute_read execute_write read_transaction write_transaction", use="neo4j.AsyncGraphDatabase", batch="one query with UNWIND $rows")
database.calls("neo4j.Driver", "execute_query", use="neo4j.AsyncGraphDatabase", batch="one query with UNWIND $rows")
database.calls("neo4j.Driver", "verify_connectivity", use="neo4j.AsyncGraphDatabase", loop=False)
database.gives("neo4j.GraphDatabase.driver", "neo4j.Driver")
database.gives("neo4j.Driver.session", "neo4j.Session")
database.gives("neo4j.Session.begin_transaction", "neo4j.Transaction")
database.awaited("neo4j.AsyncSession neo4j.AsyncTransaction neo4j.AsyncManagedTransaction", "run", batch="one query with UNWIND $rows")
database.awaited("neo4j.AsyncSession", "execute_read execute_write", batch="one query with UNWIND $rows")
database.awaited("neo4j.AsyncDriver", "execute_query", batch="one query with UNWIND $rows")
database.gives("neo4j.AsyncGraphDatabase.driver", "neo4j.AsyncDriver")
database.gives("neo4j.AsyncDriver.session", "neo4j.AsyncSession")
database.async_context("neo4j.AsyncSession neo4j.AsyncDriver")
SURREAL = "surrealdb.Surreal surrealdb.BlockingWsSurrealConnection surrealdb.BlockingHttpSurrealConnection"
ASURREAL = "surrealdb.AsyncSurreal surrealdb.AsyncWsSurrealConnection surrealdb.AsyncHttpSurrealConnection"
database.calls(SURREAL, "query select create update upsert delete merge insert", use="surrealdb.AsyncSurreal")
database.awaited(ASURREAL, "query select create update upsert delete merge", batch="one query, or insert() with a list")
database.calls("pyarango.connection.Connection arango.aql.AQL", "execute")

# twisted runs these in a pool of threads and gives a Deferred.
database.awaited("twisted.enterprise.adbapi.ConnectionPool", "runQuery runOperation runInteraction runWithConnection")
