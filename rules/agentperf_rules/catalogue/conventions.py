"""What a call means when the receiver's type is unknown.

The first row that fits decides. `likely` is kept for pairs of a receiver's name and a method that hardly ever
mean anything else. Receivers are matched on their last segment, as written: `self._db` is `_db`, and in
`db.query(User).filter(x).first()` the receiver of `first` is `filter()` and its head `db.query().filter()`.
"""

from __future__ import annotations

from agentperf_rules.catalogue.cloud import AWS_BATCHES, TOGETHER
from agentperf_rules.catalogue.family import Family, by_advice

database = Family("database", "high", loop=True, batch="one query with WHERE id = ANY(...) or a join")
orm = Family("orm", "high", loop=True, batch="one query with an IN condition or a join")
http = Family("http", "high", loop=True, batch="a bulk endpoint, or asyncio.gather with a limit")
cache = Family("cache", "high", loop=True, batch="a pipeline, or one command for many keys")
cloud = Family("cloud", "high", loop=True, batch=TOGETHER)
llm = Family("llm", "high", loop=True, batch="asyncio.gather with a limit")
path = Family("path", "low")
file = Family("file", "medium")

ANY = r"\w+(?:\(\)|\[\])*"
WORD = r"(?:\w*_)?"  # `cur`, `db_cur`, `_cur`
CLASS = r"[A-Z]\w*[a-z]\w*"

# -- SQL ----------------------------------------------------------------------------------------------

SQL = r"""["'f]?\s*(?i:select|insert|update|delete|with|replace|merge|upsert|call|exec|explain)\s"""
WRITES = r"""["'f]?\s*(?i:insert|update|delete|replace|merge|upsert)\s"""
CYPHER = r"""["'f]?\s*(?:MATCH|MERGE|CREATE|UNWIND|OPTIONAL MATCH)\s"""
STATEMENT = (
    r"(?:select|insert|update|delete|text|where|values|filter|filter_by|order_by|limit|join|outerjoin|returning|options|func"
    r"|stmt|statement|query|sql|q|sa_select|\w+_stmt|\w+_statement|\w+_query|\w+_sql|\w*_QUERY|\w*_SQL)$"
)
MANY = "one statement with many rows, or executemany()"
CURSOR = rf"{WORD}(?:cur|curs|cursor|crsr|csr)\d?(?:\(\))?"
CONNECTION = rf"{WORD}(?:con|conn|connection|cnx|cnxn|dbconn|dbh|database|db|pool|trans|txn|tx)\d?(?:\(\))?"

database.convention(ANY, "execute", args=WRITES, write=True, batch=MANY, blocking=True)
database.convention(ANY, "execute fetch fetchrow fetchval fetch_one fetch_all fetch_val query_one exec_driver_sql", args=SQL, blocking=True)
database.convention(CURSOR, "execute callproc", blocking=True)
database.convention(ANY, "run", args=CYPHER, batch="one query with UNWIND $rows", blocking=True)
database.convention(ANY, "fetchrow fetch_one fetchval fetch_val fetch_all", when="awaited")
database.convention(CONNECTION, "fetchrow fetchval fetch_one fetch_val query_row fetch_row")
database.convention(rf"{WORD}(?:con|conn|connection|cnx|db|database|pool|txn|tx)", "execute fetch scalar", when="awaited")
database.convention(rf"{WORD}(?:con|conn|connection|cnx|cnxn|bind)(?:\(\))?", "execute scalar", args=STATEMENT)
database.convention(CONNECTION, "execute scalar", confidence="possible")
database.convention(CURSOR, "fetchone fetchall fetchmany", when="sync", blocking=True, loop=False, confidence="possible")

# -- SQLAlchemy ---------------------------------------------------------------------------------------

SESSION = rf"{WORD}(?:session|sess|dbsession|Session)(?:\(\))?"
ADD_ALL = "session.add_all() and one commit"
orm.convention(SESSION, "execute scalar scalars exec", when="awaited")
orm.convention(SESSION, "execute scalar scalars exec", args=STATEMENT, blocking=True)
orm.convention(SESSION, "flush merge", write=True, batch=ADD_ALL)
orm.convention(SESSION, "refresh")
orm.convention(SESSION, "commit", write=True, batch=ADD_ALL, blocking=True)
orm.convention(SESSION, "get get_one", args=rf"{CLASS}$")
orm.convention(rf"{WORD}db", "execute scalar scalars", args=STATEMENT)
orm.convention(rf"{WORD}db", "get", args=rf"{CLASS}$")
orm.convention(rf"{WORD}db", "flush merge", write=True, batch=ADD_ALL)
orm.convention(rf"{WORD}db", "refresh scalars scalar", when="awaited")
orm.convention(rf"{WORD}db", "commit", write=True, batch=ADD_ALL, blocking=True)
ENDS = "first one one_or_none scalar count get"
QUERY_HEAD = rf"\bquery\(\)|\b{CLASS}\.query\b"
BUILDER = (
    r"(?:query|filter|filter_by|where|order_by|join|outerjoin|options|limit|offset|distinct|with_for_update|group_by|select_from"
    r"|having|with_entities|execution_options)\(\)"
)
orm.convention(r"query\(\)|filter_by\(\)", f"{ENDS} all", blocking=True)
orm.convention(BUILDER, f"{ENDS} all", head=QUERY_HEAD, blocking=True)
orm.convention(BUILDER, "update delete", head=QUERY_HEAD, write=True, blocking=True)
orm.convention("query", f"{ENDS} all get_or_404 first_or_404", head=rf"\b{CLASS}\.query$", blocking=True)
orm.convention(ANY, "get_or_404 first_or_404", head=r"query", blocking=True)
orm.convention(r"query|q|qry", "first one one_or_none", when="sync", confidence="possible")

# -- Django, Tortoise, Peewee -------------------------------------------------------------------------

# A dict may be called `objects`: the manager is read from a class.
MANAGER = r"objects|_default_manager|_base_manager"
MODEL_HEAD = rf"\b(?:{CLASS}|\w*[mM]odel(?:_class|_cls)?|cls|klass|Model)(?:\(\))?\.(?:objects|_default_manager|_base_manager)$"
BULK_CREATE = "bulk_create() or bulk_update()"
orm.convention(MANAGER, "get first last count exists aggregate earliest latest in_bulk", head=MODEL_HEAD, blocking=True)
orm.convention(MANAGER, "aget afirst alast acount aexists aaggregate aearliest alatest")
orm.convention(MANAGER, "create get_or_create update_or_create", write=True, batch=BULK_CREATE, blocking=True)
orm.convention(MANAGER, "acreate aget_or_create aupdate_or_create", write=True, batch=BULK_CREATE)
orm.convention(r"[a-z]\w*_set", "exists aggregate acount aexists", blocking=True)
orm.convention(r"[a-z]\w*_set", "create get_or_create update_or_create", write=True, batch=BULK_CREATE, blocking=True)
DJANGO_HEAD = r"\bobjects\b|_default_manager|_set\b"
DJANGO_BUILDER = (
    r"(?:filter|exclude|all|order_by|select_related|prefetch_related|annotate|values|values_list|distinct|only|defer|using|reverse"
    r"|select_for_update)\(\)(?:\[\])?"
)
orm.convention(DJANGO_BUILDER, "get first last count exists aggregate earliest latest", head=DJANGO_HEAD, blocking=True)
orm.convention(DJANGO_BUILDER, "aget afirst alast acount aexists aaggregate", head=DJANGO_HEAD)
orm.convention(DJANGO_BUILDER, "update delete", head=DJANGO_HEAD, write=True, batch="one update() with id__in", blocking=True)
orm.convention(DJANGO_BUILDER, "create get_or_create update_or_create", head=DJANGO_HEAD, write=True, batch=BULK_CREATE, blocking=True)
orm.convention(DJANGO_BUILDER, "aupdate adelete", head=DJANGO_HEAD, write=True, batch="one update() with id__in")
orm.convention(r"filter\(\)", "first exists")
orm.convention(ANY, "refresh_from_db", blocking=True)
orm.convention(ANY, "arefresh_from_db")
orm.convention(ANY, "asave adelete", write=True, batch=BULK_CREATE)
ROW = r"(?!\w*(?:client|api|service|conn|compute|ec2|provider)$)[a-z]\w*(?:\(\)|\[\])*"  # machines in a cloud are instances, too
orm.convention(ROW, "delete_instance", write=True, batch="one delete() with .in_(ids)", blocking=True)
orm.convention(CLASS, "get_or_none get_or_create update_or_create", when="awaited")
orm.convention(CLASS, "get_or_none get_by_id")
orm.convention(CLASS, "get create", when="awaited", confidence="possible")
orm.convention(r"[a-z]\w*", "save asave", when="changed", write=True, batch=BULK_CREATE)
orm.convention(r"[a-z]\w*", "save", when="awaited", confidence="possible", write=True)
orm.convention(r"[a-z]\w*", "save", when="sync", confidence="possible", write=True)

# -- repositories -------------------------------------------------------------------------------------

REPOSITORY = r"\w*(?:repo|repository|dao)"
orm.convention(REPOSITORY, "get get_by_id find_by_id get_one find_one fetch_by_id get_by_name get_by_email exists", when="awaited")
orm.convention(REPOSITORY, "save create insert update delete upsert add", when="awaited", write=True)
orm.convention(REPOSITORY, "get_by_id find_by_id find_one", confidence="possible")

STORES = r"\w*(?:store|storage|repo|repository|dao)"
orm.convention(STORES, "get_* find_* fetch_* load_* read_* list_* count_* lookup_*", when="awaited")
orm.convention(STORES, "save_* create_* insert_* update_* delete_* remove_* upsert_* add_* set_*", when="awaited", write=True)

# -- Prisma and document stores -----------------------------------------------------------------------

IN_FILTER = "find_many() with an `in` filter"
PRISMA = r"\bprisma\w*\.(?:db\.)?\w+$|\b(?:db|tx|transaction)\.\w+$"
PRISMA_WRITES = r"\bprisma\w*\.(?:db\.)?\w+$|\.db\.\w+$|\btx\.\w+$"
orm.convention(ANY, "find_unique find_unique_or_raise find_first_or_raise", batch=IN_FILTER)
orm.convention(r"\w+", "find_first find_many count", head=PRISMA, when="awaited", batch=IN_FILTER)
orm.convention(
    r"\w+", "create update upsert delete update_many delete_many", head=PRISMA_WRITES, when="awaited", write=True,
    batch="create_many() or update_many()",
)  # fmt: skip
MONGO_IN = 'one find({"_id": {"$in": ids}})'
database.convention(ANY, "find_one_and_update find_one_and_replace find_one_and_delete", write=True, batch="bulk_write()", blocking=True)
database.convention(ANY, "insert_one update_one replace_one delete_one", write=True, batch="bulk_write()", blocking=True)
COLLECTION = rf"{WORD}(?:coll|collection|col|db|mongo|table)(?:\[\])*|\w+\[\]|\w+\(\)|[a-z]\w*s"
database.convention(ANY, "find_one count_documents", when="awaited", batch=MONGO_IN)
database.convention(COLLECTION, "find_one count_documents", batch=MONGO_IN, blocking=True)

# -- vector stores, search engines --------------------------------------------------------------------

WHOLE_LIST = "one call with the whole list"
STORE = (
    rf"{WORD}(?:client|collection|index|store|vectorstore|vector_store|vector_db|vectordb|vs|qdrant|pinecone|weaviate|chroma|milvus"
    r"|table)"
)
database.convention(STORE, "upsert upsert_one query_points set_payload", batch=WHOLE_LIST)
ELASTIC = rf"{WORD}(?:es|elasticsearch|elastic|opensearch)(?:_client)?"
database.convention(ELASTIC, "index get search delete update exists count", batch="helpers.bulk() or msearch()")
VECTORS = rf"{WORD}(?:vector_?store|vector_?db|vectorstore|qdrant|pinecone|weaviate|milvus|chroma)(?:_client|_index|_collection)?"
database.convention(
    VECTORS, "query search add_texts add_documents aadd_texts aadd_documents delete_by_id", batch=WHOLE_LIST
)
database.convention(ANY, "similarity_search asimilarity_search similarity_search_with_score asimilarity_search_with_score", batch=WHOLE_LIST)
database.convention("data", "update insert replace delete_by_id", head=r"collection\w*(?:\(\))?\.data$", batch="insert_many()")
cloud.convention(rf"{WORD}client", "get_operation", batch="one list_operations() call")

# -- Redis and other caches ---------------------------------------------------------------------------

REDIS = rf"{WORD}(?:redis|rds|rdb|valkey|dragonfly)(?:_client|_conn|_connection|_db|_pool)?(?:\(\))?"
HASHES_AND_SETS = (
    "hget hset hgetall hmget hmset hincrby hdel hexists sadd srem smembers sismember scard zadd zrem zscore zincrby zrange lpush rpush lrange"
    " llen setex setnx psetex incrby decrby expireat pexpire getdel getex xadd"
)
cache.convention(REDIS, HASHES_AND_SETS, blocking=True)
cache.convention(REDIS, "get set delete exists expire ttl incr decr publish lpop rpop")
cache.convention(rf"{WORD}(?:r|cache|client|kv|conn|store|db|c|backend)", "hget hset hgetall hmget hincrby hdel smembers sismember zadd zscore setex")
cache.convention(rf"{WORD}cache", "get set delete aget aset adelete", when="awaited")

# -- HTTP ---------------------------------------------------------------------------------------------

VERBS = "get post put patch delete head request"
URL = r"""["'f]{1,2}(?i:https?://|/)|(?:url|uri|endpoint|href|\w+_url|\w+_uri|\w+_endpoint)$"""
HTTP_NAMES = rf"{WORD}(?:http|httpx|client|aclient|session|sess|requester|api|http_client|rest)(?:\(\))?"
http.convention(HTTP_NAMES, VERBS, args=URL)
http.convention(HTTP_NAMES, "request", args=r"""["'f](?:GET|POST|PUT|PATCH|DELETE|HEAD)|method$""")
http.convention(rf"{WORD}(?:httpx?_client|httpx|http_session|aiohttp_session)", VERBS, when="awaited")
http.convention(r"requests_session|\w*_requests_session", VERBS, when="sync", blocking=True)

# -- cloud SDKs ---------------------------------------------------------------------------------------

AWS = (
    "get_object put_object head_object delete_object copy_object list_objects_v2 upload_fileobj download_fileobj get_item put_item"
    " update_item delete_item batch_get_item batch_write_item receive_message send_message_batch delete_message_batch"
    " assume_role invoke_model invoke_endpoint describe_instances put_record put_records"
)
AWS_CLIENT = (
    rf"{WORD}(?:s3|dynamo|dynamodb|ddb|sqs|sns|ses|sts|ssm|ec2|ecs|kms|kinesis|lambda|bedrock|bedrock_runtime|secretsmanager|boto|boto3"
    r"|sagemaker|textract)(?:_client|_resource|_table|_runtime|client)?"
)


def _aws(receiver: str, operations: str, blocking: bool = False) -> None:
    """Operations of an AWS client."""
    for batch, names in by_advice(operations, AWS_BATCHES).items():
        cloud.convention(receiver, names, batch=batch, blocking=blocking)


_aws(AWS_CLIENT, AWS, blocking=True)
_aws(
    AWS_CLIENT,
    "upload_file download_file send_message publish invoke converse send_email query scan get_parameter encrypt decrypt get_secret_value",
)
_aws(rf"{WORD}(?:client|table|bucket|resource)", AWS)
cloud.convention(
    rf"{WORD}blob(?:\(\))?",
    "download_as_bytes download_as_string download_as_text download_to_filename download_to_file upload_from_string upload_from_filename"
    " upload_from_file",
    blocking=True,
)
cloud.convention(rf"{WORD}(?:blob_client|container_client)(?:\(\))?", "upload_blob download_blob delete_blob get_blob_properties")

# -- language models ----------------------------------------------------------------------------------

EMBED = "one embedding call with the whole list"
llm.convention("embeddings", "create acreate", batch=EMBED, blocking=True)
llm.convention("completions|responses", "create acreate parse", head=r"\bchat\.completions$|\bresponses$|\bcompletions$", blocking=True)
llm.convention("messages", "create", head=r"(?:anthropic|claude|llm|beta)\w*\.messages$", blocking=True)
LLM = rf"{WORD}(?:llm|chat_model|language_model|chat_llm|llm_client)(?:\(\))?"
llm.convention(LLM, "invoke predict complete chat generate generate_content generate_text acompletion completion aask ask", blocking=False)
llm.convention(rf"{LLM}|{WORD}(?:model|chain)", "ainvoke agenerate acomplete achat apredict generate_content_async agenerate_prompt", when="awaited")
llm.convention(rf"{WORD}(?:chain|llm_chain)", "invoke")
llm.convention(rf"{WORD}(?:agent|graph|runnable|model)", "invoke ainvoke", confidence="possible")
llm.convention(
    rf"{WORD}(?:embeddings?|embedder|embedding_model|embeddings_model|embed_model|embedding_client|embedding_function)",
    "embed_query aembed_query get_text_embedding aget_text_embedding get_embedding async_get_embedding aget_embedding embed aembed",
    batch=EMBED,
)
llm.convention("models", "generate_content embed_content", head=r"\bmodels$")

# -- files --------------------------------------------------------------------------------------------

PATH = rf"{WORD}(?:path|file|dir|folder|root|directory|filepath|dirpath|parent)(?:\(\))?|\w+(?:path|file|dir)"
file.convention(PATH, "read_text read_bytes write_text write_bytes", when="sync", blocking=True, loop=False)
path.convention(PATH, "iterdir is_file is_dir unlink mkdir rglob rmdir", when="sync", blocking=True, loop=False)
path.convention(PATH, "exists stat touch", when="sync", blocking=True, loop=False, confidence="possible")
