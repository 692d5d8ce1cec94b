"""redis-py and its twin valkey: synchronous, asynchronous, cluster. Pipelines and transactions are one operation.

What a connection sends on its own (HELLO, AUTH, CLIENT SETINFO, health checks) does not pass `execute_command`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from agentperf_runtime.sources.calls import Call, Result, awaited, synchronous
from agentperf_runtime.sources.messages import install_async_pubsub, install_pubsub

if TYPE_CHECKING:
    from agentperf_runtime.tracer import Instrument

_IGNORED = frozenset("AUTH CLIENT CLUSTER COMMAND HELLO PING QUIT READONLY READWRITE SELECT".split())
_WAITS = frozenset("BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN WAIT WAITAOF".split())
_BLOCKS = frozenset({"XREAD", "XREADGROUP"})

# Writes of one value under one key: the same key again is the same write, whatever the value.
_ONE_VALUE = frozenset(
    """APPEND DECR DECRBY EXPIRE EXPIREAT GETEX GETSET INCR INCRBY INCRBYFLOAT LTRIM PERSIST PEXPIRE PEXPIREAT PSETEX
    SET SETBIT SETEX SETNX SETRANGE""".split()
)
_ONE_FIELD = frozenset("HINCRBY HINCRBYFLOAT HSETNX JSON.SET LSET".split())
_PAIRS = frozenset({"MSET", "MSETNX"})
_FIELD_PAIRS = frozenset({"HMSET", "HSET"})
_KEYS = frozenset("DEL EXISTS MGET PFCOUNT SDIFF SINTER SUNION TOUCH UNLINK WATCH".split())
_MEMBERS = frozenset(
    """GEOHASH GEOPOS HDEL HMGET JSON.MGET LPUSH LPUSHX PFADD RPUSH RPUSHX SADD SMISMEMBER SREM XACK XDEL ZMSCORE
    ZREM""".split()
)
_SCRIPTS = frozenset("EVAL EVAL_RO EVALSHA EVALSHA_RO FCALL FCALL_RO".split())
_NAMED_COMMANDS = 4


def install(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `redis.client`."""
    _install(_client(module), module.Pipeline, instrument, synchronous)
    install_pubsub(module, instrument)


def install_async(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `redis.asyncio.client`."""
    _install(_client(module), module.Pipeline, instrument, awaited)
    install_async_pubsub(module, instrument)


def install_cluster(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `redis.cluster`."""
    _install_cluster(module, instrument, synchronous)


def install_async_cluster(module: ModuleType, instrument: Instrument) -> None:
    """Instrument `redis.asyncio.cluster`."""
    _install_cluster(module, instrument, awaited)


def _client(module: ModuleType) -> Any:
    return module.Redis if hasattr(module, "Redis") else module.Valkey


def _install(client: Any, pipeline: Any, instrument: Instrument, traced: Callable[..., Any]) -> None:
    replace = instrument.patches.replace
    replace(client, "execute_command", traced(instrument, "redis", _command, _answer))
    replace(pipeline, "immediate_execute_command", traced(instrument, "redis", _command, _answer))
    replace(pipeline, "execute", traced(instrument, "redis", _pipeline))


def _install_cluster(module: ModuleType, instrument: Instrument, traced: Callable[..., Any]) -> None:
    cluster = module.RedisCluster if hasattr(module, "RedisCluster") else module.ValkeyCluster
    replace = instrument.patches.replace
    replace(cluster, "execute_command", traced(instrument, "redis", _command, _answer))
    replace(module.ClusterPipeline, "execute", traced(instrument, "redis", _pipeline))


def _command(client: Any, *args: Any, **options: Any) -> Call | None:
    text = _text(args[0])
    name = text.partition(" ")[0]
    if name in _IGNORED:
        return None
    if name in _WAITS or (name in _BLOCKS and any(_is_word(each, "BLOCK") for each in args[1:])):
        return Call(text, kind="sleep")
    return Call(text, (text, *key_of(name, args)), elements(name, args))


def _text(command: Any) -> str:
    return (command.decode("ascii", "replace") if isinstance(command, bytes) else str(command)).upper()


def _is_word(argument: Any, word: str) -> bool:
    if isinstance(argument, bytes):
        return argument.upper() == word.encode()
    return isinstance(argument, str) and argument.upper() == word


def key_of(name: str, args: Sequence[Any]) -> tuple[Any, ...]:
    """What tells a command from others: all arguments, but for writes without the values."""
    if name in _ONE_VALUE:
        return tuple(args[1:2])
    if name in _ONE_FIELD:
        return tuple(args[1:3])
    if name in _PAIRS:
        return tuple(args[1::2])
    if name in _FIELD_PAIRS:
        return (*args[1:2], *args[2::2])
    return tuple(args[1:])


def elements(name: str, args: Sequence[Any]) -> int:
    """How many keys, members or fields one command carries, 0 for one."""
    count = 0
    if name in _KEYS:
        count = len(args) - 1
    elif name in _MEMBERS:
        count = len(args) - 2
    elif name in _PAIRS:
        count = (len(args) - 1) // 2
    elif name in _FIELD_PAIRS or name == "ZADD":
        count = (len(args) - 2) // 2
    elif name in _SCRIPTS and len(args) > 2:
        count = int(args[2])
    return count if count > 1 else 0


def _answer(answer: Any) -> Result:
    if answer is None:
        return Result(rows=0)
    if isinstance(answer, (list, tuple, set, dict)):
        return Result(rows=len(answer))
    return Result(rows=1) if isinstance(answer, (str, bytes)) else Result()


def _pipeline(pipeline: Any, *args: Any, **kwargs: Any) -> Call | None:
    commands = [_arguments(command) for command in _queued(pipeline)]
    if not commands:
        return None
    names = [_text(command[0]) for command in commands]
    distinct = sorted(set(names))
    shown = " ".join(distinct if len(distinct) <= _NAMED_COMMANDS else [*distinct[:_NAMED_COMMANDS], "..."])
    key = tuple((name, *key_of(name, command)) for name, command in zip(names, commands))
    return Call(f"PIPELINE {shown}", key, len(commands))


def _queued(pipeline: Any) -> Sequence[Any]:
    """The commands of a pipeline; a cluster's keeps them in the strategy by which it runs them."""
    strategy = getattr(pipeline, "_execution_strategy", None)
    queue = getattr(strategy, "command_queue", None) or getattr(strategy, "_command_queue", None)
    return queue or getattr(pipeline, "command_stack", None) or getattr(pipeline, "_command_stack", None) or ()


def _arguments(command: Any) -> Sequence[Any]:
    arguments: Sequence[Any] = command.args if hasattr(command, "args") else command[0]
    return arguments
