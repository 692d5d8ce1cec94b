"""Who takes a function to a thread or process, and who calls it right here."""

from __future__ import annotations

from agentperf_rules.catalogue.family import Family

threads = Family("sync", "high")

# -- standard library -------------------------------------------------------------------------------

threads.offloads("asyncio.to_thread", 0, "func")
threads.offloads("asyncio.AbstractEventLoop.run_in_executor", 1, "func")
threads.offloads("concurrent.futures.Executor.submit", 0, "fn", awaitable=False)
threads.offloads("concurrent.futures.Executor.map", 0, "fn", awaitable=False)
threads.offloads(
    "concurrent.futures.ThreadPoolExecutor.submit concurrent.futures.ProcessPoolExecutor.submit"
    " concurrent.futures.InterpreterPoolExecutor.submit",
    0,
    "fn",
    awaitable=False,
)
threads.offloads("concurrent.futures.ThreadPoolExecutor.map concurrent.futures.ProcessPoolExecutor.map", 0, "fn", awaitable=False)
threads.offloads("threading.Thread multiprocessing.Process", 1, "target", awaitable=False)
threads.offloads("threading.Timer", 1, "function", awaitable=False)
threads.offloads("_thread.start_new_thread", 0, awaitable=False)
threads.offloads("multiprocessing.Pool.apply_async multiprocessing.Pool.map_async multiprocessing.Pool.starmap_async", 0, "func", awaitable=False)

# -- async libraries --------------------------------------------------------------------------------

threads.offloads("anyio.to_thread.run_sync anyio.to_process.run_sync anyio.to_interpreter.run_sync", 0, "func")
threads.offloads("trio.to_thread.run_sync", 0, "sync_fn")
threads.offloads("asyncer.asyncify", 0, "function", result=True, decorator=True)
threads.offloads("aiofiles.os.wrap aiofiles.ospath.wrap aiofiles.base.wrap", 0, "func", result=True, decorator=True)
threads.offloads("tornado.ioloop.IOLoop.run_in_executor", 1, "func")
threads.offloads("tornado.concurrent.run_on_executor", 0, result=True, decorator=True)
threads.offloads("twisted.internet.threads.deferToThread", 0, "f", awaitable=False)
threads.offloads("twisted.internet.threads.deferToThreadPool", 2, "f", awaitable=False)
threads.offloads("twisted.internet.reactor.callInThread", 0, "f", awaitable=False)
threads.offloads("distributed.utils.offload distributed.offload", 0, "fn")
threads.offloads("distributed.Client.submit dask.distributed.Client.submit", 0, "func", awaitable=False)
threads.offloads("unsync.unsync", 0, result=True, decorator=True)
threads.offloads("aiomisc.threaded aiomisc.threaded_separate aiomisc.threaded_iterable", 0, result=True, decorator=True)
threads.offloads("aiomisc.run_in_executor aiomisc.asynchronous", 0)

# -- web frameworks ---------------------------------------------------------------------------------

threads.offloads("starlette.concurrency.run_in_threadpool", 0, "func")
threads.offloads("starlette.concurrency.iterate_in_threadpool", 0, "iterator", awaitable=False)
threads.alias("starlette.concurrency", "fastapi.concurrency")
threads.offloads("starlette.background.BackgroundTasks.add_task", 0, "func", awaitable=False)
threads.offloads("starlette.background.BackgroundTask", 0, "func", awaitable=False)
threads.alias("starlette.background", "fastapi.background")
threads.alias("starlette.background.BackgroundTasks", "fastapi.BackgroundTasks")
threads.offloads("starlette.responses.StreamingResponse", 0, "content", awaitable=False)
threads.alias("starlette.responses", "fastapi.responses")
threads.offloads("asgiref.sync.sync_to_async asgiref.sync.SyncToAsync channels.db.database_sync_to_async", 0, "func", result=True, decorator=True)
threads.alias("channels.db.database_sync_to_async", "channels.db.DatabaseSyncToAsync")
threads.offloads("quart.utils.run_sync", 0, "func", result=True, decorator=True)
threads.alias("quart.utils", "quart.helpers")
threads.offloads("litestar.concurrency.sync_to_thread", 0, "fn")
threads.alias("litestar.concurrency", "starlite.utils.sync starlite.concurrency")
threads.offloads("nicegui.run.io_bound nicegui.run.cpu_bound", 0, "callback")
threads.offloads("chainlit.make_async", 0, "function", result=True, decorator=True)
threads.alias("chainlit.make_async", "chainlit.sync.make_async")
threads.offloads("textual.work", 0, result=True, decorator=True)

# -- databases and applications ---------------------------------------------------------------------

threads.offloads("sqlalchemy.ext.asyncio.AsyncSession.run_sync sqlalchemy.ext.asyncio.AsyncConnection.run_sync", 0, "fn")
threads.offloads("sqlalchemy.util.greenlet_spawn sqlalchemy.util.concurrency.greenlet_spawn", 0)
threads.offloads("twisted.enterprise.adbapi.ConnectionPool.runInteraction twisted.enterprise.adbapi.ConnectionPool.runWithConnection", 0, awaitable=False)
threads.offloads("homeassistant.core.HomeAssistant.async_add_executor_job homeassistant.core.HomeAssistant.async_add_import_executor_job", 0, "target")
threads.offloads("homeassistant.core.HomeAssistant.add_job", 0, "target", awaitable=False)
threads.offloads("prefect.utilities.asyncutils.run_sync_in_worker_thread prefect.utilities.asyncutils.run_sync_in_interruptible_worker_thread", 0, "__fn")
threads.offloads("langchain_core.runnables.config.run_in_executor langchain_core.runnables.run_in_executor", 1, "func")
threads.alias("langchain_core.runnables.config.run_in_executor", "langchain.schema.runnable.config.run_in_executor langchain_core.runnables.utils.run_in_executor")
threads.offloads("synapse.logging.context.defer_to_thread", 1, "f")
threads.offloads("synapse.logging.context.defer_to_threadpool", 2, "f")

# -- called where they stand ------------------------------------------------------------------------

threads.invokes("builtins.map builtins.filter functools.reduce itertools.starmap itertools.takewhile itertools.dropwhile itertools.filterfalse", 0, repeats=True)
threads.invokes("builtins.sorted builtins.max builtins.min itertools.groupby", 99, "key", repeats=True)
threads.invokes("re.sub re.subn", 1, "repl", repeats=True)
threads.invokes("asyncio.AbstractEventLoop.call_soon asyncio.AbstractEventLoop.call_soon_threadsafe", 0, "callback", later=True)
threads.invokes("asyncio.AbstractEventLoop.call_later asyncio.AbstractEventLoop.call_at", 1, "callback", later=True)
threads.invokes("asyncio.AbstractEventLoop.add_signal_handler asyncio.AbstractEventLoop.add_reader asyncio.AbstractEventLoop.add_writer", 1, "callback", later=True)
threads.invokes("asyncio.Task.add_done_callback asyncio.Future.add_done_callback", 0, "fn", later=True)
threads.gives("asyncio.create_task asyncio.ensure_future asyncio.AbstractEventLoop.create_task", "asyncio.Task")
threads.invokes("contextvars.Context.run", 0, "callable")
threads.gives("contextvars.copy_context", "contextvars.Context")
threads.invokes("contextlib.ExitStack.callback contextlib.AsyncExitStack.callback", 0)
threads.invokes("contextlib.ExitStack.enter_context contextlib.AsyncExitStack.enter_context", 0, enters=True)
threads.invokes("timeit.timeit", 0, "stmt")
