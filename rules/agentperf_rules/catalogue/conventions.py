"""What a call means when the receiver's type is unknown.

`likely` is kept for pairs of a receiver's name and a method that hardly ever mean anything else.
Receivers are matched on the last segment, as written: `self._db` is `_db`, `db.query(User).filter(x)` is `filter()`.
"""

from __future__ import annotations

from agentperf_rules.catalogue.family import Family

JOIN = "one query with WHERE id = ANY(...) or a join"
MANY = "one statement with many rows (executemany(), add_all(), bulk_create())"

database = Family("database", "high", loop=True, batch=JOIN)
orm = Family("orm", "high", loop=True, batch="one query with an IN condition or a join")
http = Family("http", "high", loop=True, batch="a bulk endpoint, or asyncio.gather with a limit")
cache = Family("cache", "high", loop=True, batch="a pipeline, or one command for many keys")
llm = Family("llm", "high", loop=True, batch="asyncio.gather with a limit")
path = Family("path", "low")
file = Family("file", "medium")

WORD = r"(?:.*_)?"  # `cur`, `db_cur`, `_cur`

# -- DB-API cursors and connections -------------------------------------------------------------------

SQL = r"""["'f]?\s*(?i:select|insert|update|delete|with|replace|merge|upsert|call|exec)\b"""
INSERTS = r"""["'f]?\s*(?i:insert|update|delete|replace|merge|upsert)\b"""
CURSOR = rf"{WORD}(?:cur|curs|cursor|crsr|csr)\d?(?:\(\))?"
CONNECTION = rf"{WORD}(?:con|conn|connection|cnx|cnxn|dbconn|db_conn|database|db|pool|engine|transaction|trans|txn|tx|bind)\d?(?:\(\))?"
SESSION = rf"{WORD}(?:session|sess|db_session|dbsession|Session)(?:\(\))?"

database.convention(CURSOR, "execute", args=INSERTS, write=True, batch=MANY)
database.convention(CURSOR, "execute callproc")
database.convention(CURSOR, "execute fetchone fetchall fetchmany", when="sync", blocking=True, loop=False, confidence="possible")
database.convention(CONNECTION, "execute", args=INSERTS, write=True, batch=MANY)
database.convention(CONNECTION, "execute fetch fetchrow fetchval fetch_one fetch_all fetch_val query_one", args=SQL)
database.convention(CONNECTION, "fetchrow fetchval fetch_one fetch_val exec_driver_sql query_row fetch_row")
database.convention(CONNECTION, "fetch execute fetch_all scalar", when="awaited")
database.convention(CONNECTION, "execute scalar", confidence="possible")

# -- SQLAlchemy sessions and queries --------------------------------------------------------------------

orm.convention(SESSION, "execute scalar scalars", when="awaited")
orm.convention(SESSION, "execute scalar scalars", args=r"select|insert|update|delete|text|exists|stmt|statement|query|sql|q\b|func|sa_select")
orm.convention(SESSION, "flush merge refresh")
orm.convention(SESSION, "commit", write=True, batch=MANY)
orm.convention(SESSION, "get get_one", when="awaited", args=r"[A-Z]\w*[a-z]")
orm.convention(SESSION, "get get_one", args=r"[A-Z]\w*[a-z]", confidence="likely")
orm.convention(rf"{WORD}(?:db|database)(?:\(\))?", "get", args=r"[A-Z]\w*[a-z]", confidence="possible")
orm.convention(rf"{WORD}(?:db|database)", "commit flush refresh scalars scalar", when="awaited")
orm.convention(rf"{WORD}(?:db|database)", "commit", write=True, confidence="possible")
QUERY_HEAD = r"\bquery\(\)|\.session\b|objects\b"
BUILDER = r"(?:query|filter|filter_by|where|order_by|join|outerjoin|options|limit|offset|distinct|with_for_update|group_by|select_from|having)\(\)"
ENDS = "first one one_or_none scalar count"
orm.convention(r"(?:query|filter_by)\(\)", f"{ENDS} all get")
orm.convention(BUILDER, f"{ENDS} all", head=r"\bquery\(\)")
orm.convention(BUILDER, "update delete", head=r"\bquery\(\)", write=True)
orm.convention(r"(?:query|q|qry)", "first one one_or_none", when="sync", confidence="possible")

# -- Django, Tortoise, Peewee ---------------------------------------------------------------------------

MANAGER = r"objects|_default_manager|_base_manager|\w+_set"
orm.convention(MANAGER, "get first last count exists aggregate earliest latest in_bulk aget afirst alast acount aexists aaggregate")
orm.convention(MANAGER, "create get_or_create update_or_create acreate aget_or_create aupdate_or_create", write=True, batch="bulk_create()")
DJANGO_HEAD = r"\bobjects\b|_default_manager|_set\b"
DJANGO_BUILDER = (
    r"(?:filter|exclude|all|order_by|select_related|prefetch_related|annotate|values|values_list|distinct|only|defer|using|reverse"
    r"|select_for_update)\(\)"
)
orm.convention(DJANGO_BUILDER, "get first last count exists aggregate earliest latest create aget afirst acount aexists", head=DJANGO_HEAD)
orm.convention(DJANGO_BUILDER, "update delete aupdate adelete", head=DJANGO_HEAD, write=True, batch="one update() with id__in")
orm.convention(r"filter\(\)", "first exists count", confidence="likely")
orm.convention(r"[A-Z]\w*[a-z]\w*", "get_or_none get_by_id get_or_create update_or_create bulk_get", confidence="possible")
orm.convention(
    r"filter\(\)|get_or_none\(\)|all\(\)", "first exists count get_or_none", when="awaited"
)
orm.convention(MANAGER, "get first create", when="sync", blocking=True, loop=True)

# -- Prisma and document stores -------------------------------------------------------------------------

IN_FILTER = "find_many() with an `in` filter"
orm.convention(r"\w+", "find_unique find_unique_or_raise find_first_or_raise", batch=IN_FILTER)
PRISMA_HEAD = r"\b(?:prisma|prisma_client|litellm_prisma)\b|\bdb\."
orm.convention(r"\w+", "find_first find_many query_raw", head=PRISMA_HEAD, when="awaited", batch=IN_FILTER)
orm.convention(r"\w+", "create update upsert delete update_many delete_many", head=r"prisma\w*\.(?:db\.)?\w+$", when="awaited", write=True, batch="update_many()")
COLLECTION = rf"{WORD}(?:coll|collection|col|db|mongo|database|table)(?:\[\])?"
MONGO_IN = 'one find({"_id": {"$in": ids}})'
database.convention(r"\w+(?:\[\])?", "find_one_and_update find_one_and_replace find_one_and_delete", write=True, batch="bulk_write()")
database.convention(r"\w+(?:\[\])?", "insert_one update_one replace_one delete_one", write=True, batch="bulk_write()")
database.convention(rf"{COLLECTION}|\w+_(?:collection|coll|db)|\w+\[\]|\w*s", "find_one count_documents", batch=MONGO_IN)
database.convention(r"\w+", "find_one", when="awaited", batch=MONGO_IN)

# -- vector stores, search engines ----------------------------------------------------------------------

STORE = rf"{WORD}(?:client|collection|index|store|vectorstore|vector_store|vector_db|vectordb|vs|es|opensearch|elasticsearch|qdrant|pinecone|weaviate|chroma|milvus|data)"
VECTOR_BATCH = "one call with the whole list"
database.convention(STORE, "upsert", batch=VECTOR_BATCH, write=False)
database.convention(rf"{WORD}(?:es|es_client|elasticsearch|elastic|opensearch|os_client)", "index get search delete update exists", batch="helpers.bulk() or msearch()")
database.convention(
    rf"{WORD}(?:vector_?store|vector_?db|vectorstore|qdrant|pinecone|weaviate|milvus|chroma|retriever)(?:_client|_index|_collection)?",
    "similarity_search similarity_search_with_score asimilarity_search query search add_texts add_documents aadd_documents query_points delete_by_id",
    batch=VECTOR_BATCH,
)
database.convention(rf"{WORD}(?:data)", "update insert replace delete_by_id", head=r"collection\w*(?:\(\))?\.data$", batch="insert_many()")
database.convention(rf"{WORD}(?:client)", "get_operation", batch="one list_operations() call")

# -- Redis ----------------------------------------------------------------------------------------------

REDIS = rf"{WORD}(?:redis|rds|redis_client|redis_conn|redis_connection|redis_db|valkey)(?:\(\))?|redis\w*|{WORD}r_client"
UNIQUE_REDIS = "hget hset hgetall hmget hincrby hdel sadd srem smembers sismember zadd zrem zscore zincrby lpush rpush lrange setex incrby expireat pexpire"
cache.convention(REDIS, f"{UNIQUE_REDIS} get set delete exists expire ttl incr decr publish xadd lpop rpop getdel")
cache.convention(rf"{WORD}(?:r|cache|client|kv|conn|redis_client|store|db|c)", "hget hset hgetall hmget hincrby hdel smembers sismember zadd zrem zscore setex", when="any")
cache.convention(rf"{WORD}(?:pipe|pipeline|p)", "hget", confidence="possible", loop=False)
cache.convention(rf"{WORD}cache", "get set delete aget aset", when="awaited")

# -- HTTP -----------------------------------------------------------------------------------------------

VERBS = "get post put patch delete head request"
URL = r"""["'f]{1,2}(?:https?:|/|\{)|url|uri|.*_url\b|endpoint|api_url"""
HTTP_CLIENT = rf"{WORD}(?:http|http_client|httpx|httpx_client|client|aclient|async_client|session|http_session|aiohttp_session|requester|api_client)"
http.convention(HTTP_CLIENT, VERBS, args=URL, when="awaited")
http.convention(rf"{WORD}(?:httpx?_client|httpx|http_session|aiohttp_session|async_http_client)", VERBS, when="awaited")
http.convention(rf"{WORD}(?:session|client|http|http_client|s)", VERBS, args=r"""["'f]{1,2}https?:|url\b|.*_url\b""", when="any")
http.convention(rf"{WORD}(?:http_client|http_session|requests_session)", VERBS, when="sync", blocking=True)

# -- language models ------------------------------------------------------------------------------------

MODEL = rf"{WORD}(?:llm|chat_model|language_model|chat_llm|model)"
llm.convention(r"completions|messages|responses|embeddings", "create acreate parse", head=r"(?:chat\.completions|messages|responses|embeddings|completions)$")
llm.convention(MODEL, "ainvoke agenerate acomplete achat apredict generate_content_async", when="awaited")
llm.convention(rf"{WORD}(?:llm|chat_model|language_model|chat_llm)", "invoke predict complete chat generate generate_content")
llm.convention(rf"{WORD}(?:embeddings|embedder|embedding|embedding_model|embeddings_model|embed_model)", "embed_query aembed_query get_text_embedding aget_text_embedding get_embedding async_get_embedding",
               batch="one embedding call with the whole list")  # fmt: skip
llm.convention(r"models", "generate_content embed_content", head=r"(?:aio\.)?models$")

# -- files ----------------------------------------------------------------------------------------------

PATH = rf"{WORD}(?:path|file|dir|folder|root|directory|filepath|dirpath|parent|p)(?:\(\))?|\w*(?:path|_file|_dir)"
file.convention(PATH, "read_text read_bytes write_text write_bytes", when="sync", blocking=True, loop=False)
path.convention(PATH, "iterdir is_file is_dir unlink mkdir rglob rmdir", when="sync", blocking=True, loop=False)
path.convention(PATH, "exists stat touch", when="sync", blocking=True, loop=False, confidence="possible")
