"""Rules on calls that a loop repeats once per element."""

from __future__ import annotations

from agentperf_rules.base import Rule
from agentperf_rules.loops.apl201_database_query import DatabaseQueryInLoop
from agentperf_rules.loops.apl202_orm_query import OrmQueryInLoop
from agentperf_rules.loops.apl203_relation_access import RelationAccessInLoop
from agentperf_rules.loops.apl204_http import HttpInLoop
from agentperf_rules.loops.apl205_llm import LlmInLoop
from agentperf_rules.loops.apl206_cache import CacheInLoop
from agentperf_rules.loops.apl207_insert import InsertInLoop
from agentperf_rules.loops.apl208_fan_out import FanOutPerElement
from agentperf_rules.loops.apl209_cloud_call import CloudCallInLoop

RULES: tuple[type[Rule], ...] = (
    DatabaseQueryInLoop,
    OrmQueryInLoop,
    RelationAccessInLoop,
    HttpInLoop,
    LlmInLoop,
    CacheInLoop,
    InsertInLoop,
    FanOutPerElement,
    CloudCallInLoop,
)
