"""Vector stores: every call is a request to a server."""

from __future__ import annotations

from agentperf_rules.catalogue.family import Family

vectors = Family("database", "high", loop=True, batch="one call with the whole list")

# weaviate
_weaviate = "insert insert_many update replace delete_by_id delete_many fetch_object_by_id exists near_text near_vector hybrid bm25 fetch_objects"
vectors.gives(
    "weaviate.connect_to_local weaviate.connect_to_weaviate_cloud weaviate.connect_to_wcs weaviate.connect_to_custom weaviate.connect_to_embedded",
    "weaviate.WeaviateClient",
)
vectors.gives(
    "weaviate.use_async_with_local weaviate.use_async_with_weaviate_cloud weaviate.use_async_with_custom weaviate.use_async_with_embedded",
    "weaviate.WeaviateAsyncClient",
)
vectors.below("weaviate.WeaviateClient weaviate.collections.Collection", _weaviate, use="weaviate.WeaviateAsyncClient", batch="insert_many(), or a batch")
vectors.below("weaviate.WeaviateAsyncClient", _weaviate, blocking=False, batch="insert_many()")
vectors.calls("weaviate.WeaviateClient", "connect close is_ready is_live", use="weaviate.WeaviateAsyncClient", loop=False)
vectors.below("weaviate.WeaviateClient.collections", "create delete exists list_all create_from_config", use="weaviate.WeaviateAsyncClient", loop=False)
vectors.gives("weaviate.WeaviateClient.collections.get weaviate.WeaviateClient.collections.use", "weaviate.collections.Collection")
vectors.below("weaviate.Client.query", "do", use="weaviate.WeaviateAsyncClient")
vectors.below("weaviate.Client.data_object", "create update replace delete get get_by_id exists", use="weaviate.WeaviateAsyncClient", batch="client.batch")
vectors.alias("weaviate.WeaviateClient", "weaviate.client.WeaviateClient")
vectors.alias("weaviate.WeaviateAsyncClient", "weaviate.client.WeaviateAsyncClient")
vectors.async_context("weaviate.WeaviateAsyncClient")

# qdrant
_qdrant = (
    "search query_points query scroll retrieve recommend discover count upsert delete set_payload overwrite_payload delete_payload"
    " update_vectors delete_vectors search_groups query_points_groups add"
)
_qdrant_once = (
    "create_collection delete_collection recreate_collection get_collection get_collections collection_exists upload_points upload_collection"
    " search_batch query_batch_points recommend_batch batch_update_points create_payload_index update_collection"
)
vectors.calls("qdrant_client.QdrantClient", _qdrant, use="qdrant_client.AsyncQdrantClient", batch="query_batch_points(), or upsert() with all points")
vectors.calls("qdrant_client.QdrantClient", _qdrant_once, use="qdrant_client.AsyncQdrantClient", loop=False)
vectors.awaited("qdrant_client.AsyncQdrantClient", _qdrant, batch="query_batch_points(), or upsert() with all points")
vectors.alias("qdrant_client.QdrantClient", "qdrant_client.qdrant_client.QdrantClient")
vectors.alias("qdrant_client.AsyncQdrantClient", "qdrant_client.async_qdrant_client.AsyncQdrantClient")

# pinecone
_pinecone = "query upsert fetch update delete describe_index_stats upsert_records search search_records"
vectors.gives("pinecone.Pinecone.Index", "pinecone.Index")
vectors.gives("pinecone.Pinecone.IndexAsyncio pinecone.PineconeAsyncio.IndexAsyncio", "pinecone.IndexAsyncio")
vectors.calls("pinecone.Index pinecone.GRPCIndex", _pinecone, use="pinecone.IndexAsyncio", batch="upsert() or fetch() with the whole list")
vectors.awaited("pinecone.IndexAsyncio", _pinecone, batch="upsert() or fetch() with the whole list")
vectors.calls("pinecone.Pinecone", "create_index delete_index describe_index list_indexes has_index", use="pinecone.PineconeAsyncio", loop=False)
vectors.alias("pinecone", "pinecone.grpc")

# chroma
_chroma = "add query get upsert update delete count peek modify"
vectors.gives(
    "chromadb.Client chromadb.HttpClient chromadb.PersistentClient chromadb.EphemeralClient chromadb.CloudClient", "chromadb.ClientAPI"
)
vectors.gives("chromadb.AsyncHttpClient", "chromadb.AsyncClientAPI")
vectors.calls(
    "chromadb.ClientAPI",
    "get_collection get_or_create_collection create_collection delete_collection list_collections heartbeat",
    use="chromadb.AsyncHttpClient",
    loop=False,
)
vectors.methods_give("chromadb.ClientAPI", "get_collection get_or_create_collection create_collection", "chromadb.Collection")
vectors.methods_give("chromadb.AsyncClientAPI", "get_collection get_or_create_collection create_collection", "chromadb.AsyncCollection")
vectors.calls("chromadb.Collection", _chroma, use="chromadb.AsyncHttpClient")
vectors.awaited("chromadb.AsyncCollection", _chroma)
vectors.alias("chromadb.ClientAPI", "chromadb.api.ClientAPI chromadb.api.client.Client chromadb.api.API")
vectors.alias("chromadb.Collection", "chromadb.api.models.Collection.Collection")

# milvus
_milvus = "search query insert upsert delete get hybrid_search"
_milvus_once = "create_collection drop_collection has_collection load_collection flush create_index list_collections describe_collection"
vectors.calls("pymilvus.MilvusClient pymilvus.Collection", _milvus, use="pymilvus.AsyncMilvusClient")
vectors.calls("pymilvus.MilvusClient", _milvus_once, use="pymilvus.AsyncMilvusClient", loop=False)
vectors.calls("pymilvus.Collection", "flush load release create_index drop", use="pymilvus.AsyncMilvusClient", loop=False)
vectors.awaited("pymilvus.AsyncMilvusClient", _milvus)
vectors.calls("pymilvus.connections", "connect", use="pymilvus.AsyncMilvusClient", loop=False)
vectors.calls("pymilvus.utility", "has_collection drop_collection list_collections", use="pymilvus.AsyncMilvusClient", loop=False)

# astrapy
_astra = (
    "find_one insert_one update_one replace_one delete_one find_one_and_update find_one_and_replace find_one_and_delete upsert upsert_one"
    " count_documents distinct"
)
for sync, asynchronous in (
    ("astrapy.collection.Collection", "astrapy.collection.AsyncCollection"),
    ("astrapy.db.AstraDBCollection", "astrapy.db.AsyncAstraDBCollection"),
):
    vectors.calls(sync, _astra, use=asynchronous, batch="insert_many(), or one find() with $in")
    vectors.calls(sync, "insert_many update_many delete_many upsert_many bulk_write", use=asynchronous, loop=False)
    vectors.awaited(asynchronous, _astra, batch="insert_many(), or one find() with $in")
vectors.alias("astrapy.collection", "astrapy.data.collection")
vectors.methods_give("astrapy.Database", "get_collection create_collection", "astrapy.collection.Collection")
vectors.methods_give("astrapy.AsyncDatabase", "get_collection create_collection", "astrapy.collection.AsyncCollection")
vectors.alias("astrapy.Database", "astrapy.database.Database")
vectors.alias("astrapy.AsyncDatabase", "astrapy.database.AsyncDatabase")
vectors.gives("astrapy.DataAPIClient.get_database", "astrapy.Database")
vectors.gives("astrapy.DataAPIClient.get_async_database", "astrapy.AsyncDatabase")

# aerospike, zep, vespa, lance, redis search, typesense, meilisearch, algolia, marqo, turbopuffer
vectors.calls("aerospike_vector_search.Client aerospike_vector_search.client.Client", "upsert insert update get delete exists vector_search", use="aerospike_vector_search.aio.Client")
vectors.awaited("aerospike_vector_search.aio.Client", "upsert insert update get delete exists vector_search")
vectors.calls("zep_python.document.collection.DocumentCollection", "search add_documents get_document update_document delete_document", use="its a* methods")
vectors.awaited("zep_python.document.collection.DocumentCollection", "asearch aadd_documents aget_document aupdate_document adelete_document")
vectors.alias("zep_python.document.collection.DocumentCollection", "zep_python.document.DocumentCollection zep_python.DocumentCollection")
vectors.calls("zep_python.ZepClient.document", "get_collection add_collection update_collection delete_collection list_collections", use="its a* methods")
vectors.gives("zep_python.ZepClient.document.get_collection zep_python.ZepClient.document.add_collection", "zep_python.document.collection.DocumentCollection")
vectors.calls("zep_python.ZepClient.memory", "get_memory add_memory search_memory delete_memory", use="its a* methods")
vectors.awaited("zep_python.ZepClient.memory", "aget_memory aadd_memory asearch_memory adelete_memory")
vectors.below("zep_cloud.Zep zep_cloud.client.Zep", "get add search create delete update list add_session get_session", use="zep_cloud.client.AsyncZep")
vectors.below("zep_cloud.AsyncZep zep_cloud.client.AsyncZep", "get add search create delete update list add_session get_session", blocking=False)
vectors.calls("mem0.Memory mem0.MemoryClient", "add search get get_all update delete delete_all", use="mem0.AsyncMemory")
vectors.awaited("mem0.AsyncMemory mem0.AsyncMemoryClient", "add search get get_all update delete delete_all")
vectors.below("typesense.Client", "retrieve create upsert update delete search import_ export", use="typesense.AsyncClient")
vectors.calls("meilisearch.index.Index", "search add_documents get_document update_documents delete_document get_documents", use="meilisearch_python_sdk.AsyncClient")
vectors.gives("meilisearch.Client.index", "meilisearch.index.Index")
vectors.calls("marqo.index.Index", "search add_documents get_document delete_documents get_documents", batch="add_documents() with the whole list")
vectors.gives("marqo.Client.index", "marqo.index.Index")
vectors.calls("vespa.application.Vespa", "query get_data update_data delete_data feed_data_point", use="vespa.application.VespaAsync")
vectors.calls("embedchain.Client embedchain.App embedchain.Pipeline", "add query chat search")
vectors.calls("lancedb", "connect", use="lancedb.connect_async()", loop=False)
vectors.gives("lancedb.connect", "lancedb.db.DBConnection")
vectors.gives("lancedb.db.DBConnection.open_table lancedb.db.DBConnection.create_table", "lancedb.table.Table")
vectors.calls("lancedb.table.Table", "add delete update merge_insert", use="lancedb.connect_async()")
vectors.below("supabase.Client", "execute", use="supabase.AsyncClient", batch="one query with in_()")
vectors.below("supabase.AsyncClient", "execute", blocking=False, batch="one query with in_()")
vectors.gives("supabase.create_client", "supabase.Client")
vectors.gives("supabase.create_async_client supabase.acreate_client", "supabase.AsyncClient")

# LangChain's vector stores
LANGCHAIN_STORE = "langchain_core.vectorstores.VectorStore"
vectors.calls(LANGCHAIN_STORE, "similarity_search similarity_search_with_score max_marginal_relevance_search similarity_search_by_vector", use="its a* methods")
vectors.calls(LANGCHAIN_STORE, "add_texts add_documents delete from_texts from_documents", use="its a* methods")
vectors.awaited(LANGCHAIN_STORE, "asimilarity_search asimilarity_search_with_score amax_marginal_relevance_search aadd_texts aadd_documents adelete")
vectors.alias(LANGCHAIN_STORE, "langchain_core.vectorstores.base.VectorStore langchain.vectorstores.base.VectorStore langchain.schema.vectorstore.VectorStore")
vectors.subclass(
    "langchain_chroma.Chroma langchain_pinecone.PineconeVectorStore langchain_qdrant.QdrantVectorStore langchain_postgres.PGVector"
    " langchain_weaviate.WeaviateVectorStore langchain_milvus.Milvus langchain_elasticsearch.ElasticsearchStore langchain_mongodb.MongoDBAtlasVectorSearch"
    " langchain_astradb.AstraDBVectorStore langchain_community.vectorstores.FAISS langchain_community.vectorstores.Chroma",
    LANGCHAIN_STORE,
)
