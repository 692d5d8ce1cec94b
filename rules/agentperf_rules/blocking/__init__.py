"""Rules on calls that hold the event loop, and on broken remedies for them."""

from __future__ import annotations

from agentperf_rules.base import Rule
from agentperf_rules.blocking.apl101_sleep import BlockingSleep
from agentperf_rules.blocking.apl102_http import BlockingHttp
from agentperf_rules.blocking.apl103_file import BlockingFile
from agentperf_rules.blocking.apl104_path import BlockingPath
from agentperf_rules.blocking.apl105_subprocess import BlockingSubprocess
from agentperf_rules.blocking.apl106_database import BlockingDatabase
from agentperf_rules.blocking.apl107_orm import BlockingOrm
from agentperf_rules.blocking.apl108_cache import BlockingCache
from agentperf_rules.blocking.apl109_cloud_sdk import BlockingCloudSdk
from agentperf_rules.blocking.apl110_llm import BlockingLlm
from agentperf_rules.blocking.apl111_socket import BlockingSocket
from agentperf_rules.blocking.apl112_input import BlockingInput
from agentperf_rules.blocking.apl113_thread_sync import BlockingThreadSync
from agentperf_rules.blocking.apl114_cpu import CpuHeavy
from agentperf_rules.blocking.apl115_client_construction import (
    BlockingClientConstruction,
)
from agentperf_rules.blocking.apl116_import import BlockingImport
from agentperf_rules.blocking.apl120_unawaited_offload import UnawaitedOffload
from agentperf_rules.blocking.apl121_offload_of_result import OffloadOfResult
from agentperf_rules.blocking.apl122_sync_with_async_client import SyncWithOnAsyncClient

RULES: tuple[type[Rule], ...] = (
    BlockingSleep,
    BlockingHttp,
    BlockingFile,
    BlockingPath,
    BlockingSubprocess,
    BlockingDatabase,
    BlockingOrm,
    BlockingCache,
    BlockingCloudSdk,
    BlockingLlm,
    BlockingSocket,
    BlockingInput,
    BlockingThreadSync,
    CpuHeavy,
    BlockingClientConstruction,
    BlockingImport,
    UnawaitedOffload,
    OffloadOfResult,
    SyncWithOnAsyncClient,
)
