"""Waiting: sleeps, locks, queues, threads, futures, and prompts."""

from __future__ import annotations

from agentperf_rules.catalogue.family import Family

sync = Family("sync", "high")

# Sleeping and asking
sync.calls("time", "sleep", kind="sleep", use="asyncio.sleep()")
sync.calls("gevent eventlet", "sleep", kind="sleep", use="asyncio.sleep()")
sync.calls("signal", "pause sigwait sigwaitinfo sigtimedwait", use="loop.add_signal_handler()")
sync.calls("builtins", "input", kind="input")
sync.alias("builtins.input", "builtins.raw_input six.moves.input")
sync.calls("getpass", "getpass", kind="input")
sync.calls("click", "prompt confirm pause getchar", kind="input")
sync.alias("click", "click.termui asyncclick")
sync.calls("typer", "prompt confirm", kind="input")
sync.calls("rich.prompt.Prompt rich.prompt.Confirm rich.prompt.IntPrompt rich.prompt.FloatPrompt", "ask", kind="input")
sync.calls("rich.console.Console", "input", kind="input")
sync.calls("questionary.Question", "ask unsafe_ask", kind="input", use="questionary.Question.ask_async()")
sync.gives(
    "questionary.text questionary.select questionary.confirm questionary.password questionary.checkbox questionary.autocomplete questionary.path",
    "questionary.Question",
)
sync.calls("inquirer", "prompt", kind="input")
sync.calls("prompt_toolkit", "prompt", kind="input", use="prompt_toolkit.PromptSession.prompt_async()")
sync.calls("prompt_toolkit.PromptSession", "prompt", kind="input", use="prompt_toolkit.PromptSession.prompt_async()")
sync.calls("sys.stdin", "readline readlines read", kind="input", use="loop.connect_read_pipe()")
sync.calls("msvcrt", "getch getche getwch", kind="input")

# Locks: short and uncontended ones cost nothing, so only the rule can tell.
LOCKS = "threading.Lock threading.RLock threading.Condition threading.Semaphore threading.BoundedSemaphore"
sync.calls("threading.Lock threading.RLock threading.Semaphore", "acquire", use="asyncio.Lock", severity="medium")
sync.subclass("threading.BoundedSemaphore", "threading.Semaphore")
sync.calls("threading.Condition", "wait wait_for", use="asyncio.Condition")
sync.calls("threading.Condition", "acquire", use="asyncio.Condition", severity="medium")
sync.entering(LOCKS, use="asyncio.Lock", severity="medium")
sync.calls("threading.Event", "wait", use="asyncio.Event")
sync.calls("threading.Barrier", "wait", use="asyncio.Barrier")
sync.calls("threading.Thread threading.Timer", "join")
sync.alias("threading.Lock", "_thread.allocate_lock")
sync.alias("threading", "multiprocessing.dummy")
for module in ("multiprocessing", "multiprocess", "billiard"):
    sync.calls(f"{module}.Process", "join", use="concurrent.futures.ProcessPoolExecutor with loop.run_in_executor()")
    sync.calls(f"{module}.Lock {module}.RLock {module}.Semaphore", "acquire", severity="medium")
    sync.entering(f"{module}.Lock {module}.RLock {module}.Semaphore {module}.Condition", severity="medium")
    sync.calls(f"{module}.Event {module}.Condition {module}.Barrier", "wait")
    sync.calls(f"{module}.Queue {module}.JoinableQueue {module}.SimpleQueue", "get join")
    sync.calls(f"{module}.Pool", "map imap imap_unordered starmap apply join", use="concurrent.futures.ProcessPoolExecutor with loop.run_in_executor()")
    sync.gives(f"{module}.Pool.apply_async {module}.Pool.map_async {module}.Pool.starmap_async", f"{module}.pool.AsyncResult")
    sync.calls(f"{module}.pool.AsyncResult", "get wait", use="concurrent.futures.ProcessPoolExecutor with loop.run_in_executor()")
    sync.gives(f"{module}.Pipe", f"{module}.connection.Connection")
    sync.calls(f"{module}.connection.Connection", "recv recv_bytes poll", use="loop.add_reader()")
    sync.calls(f"{module}.connection", "wait", use="loop.add_reader()")
    sync.alias(f"{module}.Pool", f"{module}.pool.Pool {module}.pool.ThreadPool")
    sync.alias(f"{module}.Process", f"{module}.process.Process {module}.context.Process")
    sync.alias(f"{module}.Queue", f"{module}.queues.Queue")
sync.calls("multiprocessing", "Manager", severity="medium")

# Queues
sync.calls("queue.Queue", "get join", use="asyncio.Queue")
sync.calls("queue.SimpleQueue", "get", use="asyncio.Queue")
sync.subclass("queue.LifoQueue queue.PriorityQueue", "queue.Queue")
sync.alias("queue", "six.moves.queue Queue")

# Futures and executors
WRAP = "await asyncio.wrap_future(...)"
sync.calls("concurrent.futures.Future", "result exception", use=WRAP)
sync.calls("concurrent.futures", "wait as_completed", use="asyncio.wait() on loop.run_in_executor()")
sync.calls("concurrent.futures.Executor", "shutdown", use="shutdown(wait=False)", severity="medium")
sync.subclass(
    "concurrent.futures.ThreadPoolExecutor concurrent.futures.ProcessPoolExecutor concurrent.futures.InterpreterPoolExecutor",
    "concurrent.futures.Executor",
)
sync.gives("concurrent.futures.Executor.submit asyncio.run_coroutine_threadsafe", "concurrent.futures.Future")
sync.gives("concurrent.futures.Executor.map", "concurrent.futures.Executor.map()")
sync.iterating("concurrent.futures.Executor.map()", use="asyncio.gather on loop.run_in_executor()")
sync.gives("concurrent.futures.as_completed", "builtins.list", of="concurrent.futures.Future")
sync.alias("concurrent.futures", "concurrent.futures._base concurrent.futures.thread concurrent.futures.process")
sync.gives("asyncio.get_event_loop asyncio.get_running_loop asyncio.new_event_loop asyncio.events.get_event_loop", "asyncio.AbstractEventLoop")
sync.subclass("asyncio.BaseEventLoop asyncio.SelectorEventLoop asyncio.ProactorEventLoop uvloop.Loop", "asyncio.AbstractEventLoop")
sync.alias("asyncio.AbstractEventLoop", "asyncio.events.AbstractEventLoop")
sync.calls("filelock.FileLock filelock.SoftFileLock", "acquire", use="filelock.AsyncFileLock")
sync.entering("filelock.FileLock filelock.SoftFileLock", use="filelock.AsyncFileLock")
sync.calls("fcntl", "flock lockf", severity="medium")
sync.calls("portalocker", "lock", severity="medium")
sync.calls("ray", "get wait", use="await on the reference")
sync.calls("dask", "compute", use="dask.distributed.Client(asynchronous=True)")
sync.calls("distributed.Future", "result", use="await on the future")

# What asyncio offers instead works under `async with` only.
sync.async_context(
    "asyncio.Lock asyncio.Condition asyncio.Semaphore asyncio.BoundedSemaphore asyncio.TaskGroup asyncio.timeout() asyncio.Timeout"
    " anyio.Lock anyio.Semaphore anyio.Condition anyio.CapacityLimiter anyio.create_task_group() trio.Lock trio.open_nursery()"
)

# Importing reads and runs source files.
modules = Family("import", "medium")
modules.calls("importlib", "import_module reload")
modules.calls("builtins", "__import__")
modules.calls("runpy", "run_module run_path")
modules.calls("pkg_resources", "require iter_entry_points get_distribution", severity="low")
modules.calls("imp", "load_source reload")
