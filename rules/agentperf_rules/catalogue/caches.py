"""Caches and key-value stores."""

from __future__ import annotations

from agentperf_rules.catalogue.family import Family

cache = Family("cache", "high", loop=True, batch="a pipeline, or one command for many keys")

REDIS_READS = (
    "get mget exists ttl pttl type getrange strlen hget hmget hgetall hexists hkeys hvals hlen llen lrange lindex scard sismember smismember"
    " smembers srandmember zrange zrangebyscore zrevrange zrevrangebyscore zscore zcard zcount zrank zrevrank getbit bitcount pfcount geopos"
    " geodist dbsize memory_usage object"
)
REDIS_WRITES = (
    "set setex psetex setnx mset msetnx getset getdel getex append incr incrby incrbyfloat decr decrby delete unlink expire expireat pexpire"
    " pexpireat persist rename hset hmset hsetnx hdel hincrby hincrbyfloat lpush rpush lpushx rpushx lpop rpop lset lrem linsert ltrim rpoplpush"
    " lmove sadd srem spop smove zadd zrem zincrby zpopmin zpopmax zremrangebyrank zremrangebyscore setbit pfadd geoadd publish xadd xack xdel"
    " xtrim execute_command json"
)
REDIS_ONCE = (
    "ping info keys scan flushdb flushall config_get config_set client_list evalsha eval script_load blpop brpop brpoplpush blmove bzpopmin"
    " bzpopmax xread xreadgroup xrange xrevrange xlen xinfo_stream xgroup_create sunion sinter sdiff time save bgsave"
)
ASYNC_REDIS = "redis.asyncio.Redis"
cache.calls("redis.Redis", REDIS_READS, use=ASYNC_REDIS, batch="mget() or a pipeline")
cache.calls("redis.Redis", REDIS_WRITES, use=ASYNC_REDIS, batch="a pipeline")
cache.calls("redis.Redis", REDIS_ONCE, use=ASYNC_REDIS, loop=False)
cache.calls("redis.Redis", "scan_iter hscan_iter sscan_iter zscan_iter", use=ASYNC_REDIS, loop=False)
cache.calls("redis.client.Pipeline", "execute", use=ASYNC_REDIS, loop=False)
cache.calls("redis.client.PubSub", "get_message subscribe unsubscribe psubscribe", use="redis.asyncio.client.PubSub", loop=False)
cache.calls("redis.client.PubSub", "listen", use="redis.asyncio.client.PubSub", loop=False)
cache.calls("redis.lock.Lock", "acquire release extend", use="redis.asyncio.lock.Lock", loop=False)
cache.entering("redis.lock.Lock", use="redis.asyncio.lock.Lock")
cache.awaited(ASYNC_REDIS, REDIS_READS, batch="mget() or a pipeline")
cache.awaited(ASYNC_REDIS, REDIS_WRITES, batch="a pipeline")
cache.gives("redis.from_url redis.Redis.from_url redis.Redis.from_pool", "redis.Redis")
cache.gives("redis.asyncio.from_url redis.asyncio.Redis.from_url redis.asyncio.Redis.from_pool", ASYNC_REDIS)
cache.gives("redis.Redis.pipeline", "redis.client.Pipeline")
cache.gives("redis.asyncio.Redis.pipeline", "redis.asyncio.client.Pipeline")
cache.gives("redis.Redis.pubsub", "redis.client.PubSub")
cache.gives("redis.asyncio.Redis.pubsub", "redis.asyncio.client.PubSub")
cache.gives("redis.Redis.lock", "redis.lock.Lock")
cache.gives("redis.asyncio.Redis.lock", "redis.asyncio.lock.Lock")
cache.gives("redis.Sentinel.master_for redis.Sentinel.slave_for redis.sentinel.Sentinel.master_for redis.sentinel.Sentinel.slave_for", "redis.Redis")
cache.gives("redis.asyncio.sentinel.Sentinel.master_for redis.asyncio.sentinel.Sentinel.slave_for", ASYNC_REDIS)
cache.alias("redis.Redis", "redis.client.Redis redis.StrictRedis redis.client.StrictRedis")
cache.alias(ASYNC_REDIS, "redis.asyncio.client.Redis redis.asyncio.StrictRedis redis.asyncio.client.StrictRedis aioredis.client.Redis")
cache.alias("redis.asyncio", "aioredis")
cache.alias("redis", "valkey fakeredis")
cache.alias("redis.asyncio", "valkey.asyncio fakeredis.aioredis")
cache.alias("redis.Redis", "valkey.Valkey fakeredis.FakeRedis fakeredis.FakeStrictRedis")
cache.alias(ASYNC_REDIS, "valkey.asyncio.Valkey fakeredis.aioredis.FakeRedis fakeredis.FakeAsyncRedis")
cache.subclass("redis.RedisCluster redis.cluster.RedisCluster", "redis.Redis")
cache.subclass("redis.asyncio.RedisCluster redis.asyncio.cluster.RedisCluster", ASYNC_REDIS)
cache.async_context(
    "redis.asyncio.Redis redis.asyncio.client.Pipeline redis.asyncio.client.PubSub redis.asyncio.lock.Lock redis.asyncio.RedisCluster"
)
cache.gives("django_redis.get_redis_connection rq.get_current_connection", "redis.Redis")
cache.calls("rq.Queue", "enqueue enqueue_call enqueue_at enqueue_in", batch="enqueue_many()")
cache.awaited("coredis.Redis", "get set hget hset delete exists incr sadd zadd hgetall expire")
cache.awaited("glide.GlideClient glide.GlideClusterClient", "get set hget hset delete exists incr hgetall", batch="mget() or a Batch")

# aiocache, memcached
cache.awaited("aiocache.RedisCache", "get set delete exists add increment", batch="multi_get() or multi_set()")
cache.subclass("aiocache.MemcachedCache aiocache.backends.redis.RedisCache aiocache.backends.memcached.MemcachedCache", "aiocache.RedisCache")
MEMCACHED = "get gets set add replace append prepend cas incr decr delete touch"
cache.calls("pymemcache.client.base.Client", MEMCACHED, use="aiomcache", batch="get_many() or set_many()")
cache.calls("pymemcache.client.base.Client", "get_many set_many delete_many gets_many stats flush_all version", use="aiomcache", loop=False)
cache.subclass(
    "pymemcache.client.base.PooledClient pymemcache.client.hash.HashClient pymemcache.client.retrying.RetryingClient",
    "pymemcache.client.base.Client",
)
cache.alias("pymemcache.client.base.Client", "pymemcache.Client pymemcache.client.Client")
cache.alias("pymemcache.client.base.PooledClient", "pymemcache.PooledClient")
cache.alias("pymemcache.client.hash.HashClient", "pymemcache.HashClient")
cache.calls("memcache.Client", MEMCACHED, use="aiomcache", batch="get_multi() or set_multi()")
cache.calls("memcache.Client", "get_multi set_multi delete_multi", use="aiomcache", loop=False)
cache.alias("memcache.Client", "pylibmc.Client bmemcached.Client")
cache.awaited("aiomcache.Client", "get set add delete incr decr touch", batch="multi_get()")

# Django's cache framework: in memory by default, a server in production
DJANGO_CACHE = "get set add delete get_or_set touch incr decr has_key"
DJANGO_CACHE_MANY = "get_many() or set_many()"
for name in DJANGO_CACHE.split():
    cache.calls("django.core.cache.cache", name, use=f"await cache.a{name}()", batch=DJANGO_CACHE_MANY)
    cache.awaited("django.core.cache.cache", f"a{name}", batch=DJANGO_CACHE_MANY)
for name in ["get_many", "set_many", "delete_many", "clear"]:
    cache.calls("django.core.cache.cache", name, use=f"await cache.a{name}()", loop=False)
cache.alias("django.core.cache.cache", "django.core.cache.caches.[]")

# Embedded stores
disk = Family("file", "medium")
disk.calls("diskcache.Cache", "get set add delete pop incr decr touch memoize expire clear", severity="low")
disk.subclass("diskcache.FanoutCache diskcache.Deque diskcache.Index", "diskcache.Cache")
disk.calls("lmdb", "open")
disk.calls("plyvel", "DB")
