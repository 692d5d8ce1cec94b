"""Child processes, and libraries that start them."""

from __future__ import annotations

from agentperf_rules.catalogue.family import Family

subprocess = Family("subprocess", "high")

subprocess.calls("subprocess", "run call check_call check_output", use="asyncio.create_subprocess_exec()")
subprocess.calls("subprocess", "getoutput getstatusoutput", use="asyncio.create_subprocess_shell()")
subprocess.calls("subprocess", "Popen", use="asyncio.create_subprocess_exec()", severity="medium")
subprocess.calls("subprocess.Popen", "wait communicate", use="asyncio.create_subprocess_exec()")
subprocess.entering("subprocess.Popen", use="asyncio.create_subprocess_exec()", severity="medium")
subprocess.gives("subprocess.Popen", "subprocess.Popen")
subprocess.alias("subprocess", "subprocess32 gevent.subprocess")
subprocess.subclass("psutil.Popen", "subprocess.Popen")

subprocess.calls("os", "system popen", use="asyncio.create_subprocess_shell()")
subprocess.calls(
    "os",
    "spawnl spawnle spawnlp spawnlpe spawnv spawnve spawnvp spawnvpe posix_spawn posix_spawnp",
    use="asyncio.create_subprocess_exec()",
)
subprocess.calls("os", "wait wait3 wait4 waitid waitpid", use="asyncio.subprocess.Process.wait()")
subprocess.calls("pty", "spawn", use="asyncio.create_subprocess_exec()")

subprocess.calls("pexpect", "run runu", use="asyncio.create_subprocess_exec()")
subprocess.calls("pexpect.spawn", "expect expect_exact expect_list wait sendline readline interact", use="pexpect with async_=True")
subprocess.subclass("pexpect.popen_spawn.PopenSpawn pexpect.pxssh.pxssh", "pexpect.spawn")
subprocess.gives("pexpect.spawn", "pexpect.spawn")
subprocess.calls("plumbum.cmd", "*", use="asyncio.create_subprocess_exec()")
subprocess.calls("sh", "git bash ls cat cp mv rm mkdir Command", use="asyncio.create_subprocess_exec()")
subprocess.calls("invoke", "run", use="asyncio.create_subprocess_exec()")
subprocess.calls("psutil.Process", "wait")

subprocess.calls("git.Repo", "clone_from clone init", use="asyncio.create_subprocess_exec()")
subprocess.calls("git.Repo", "is_dirty iter_commits create_head create_remote", use="asyncio.create_subprocess_exec()", severity="medium")
subprocess.below("git.Repo.git", "*", use="asyncio.create_subprocess_exec()")
subprocess.below("git.Repo.remotes", "fetch pull push", use="asyncio.create_subprocess_exec()")
subprocess.below("git.Repo.index", "add commit remove", use="asyncio.create_subprocess_exec()", severity="medium")
subprocess.methods_give("git.Repo", "clone_from clone init", "git.Repo")
subprocess.calls("git.Remote git.remote.Remote", "fetch pull push")
subprocess.gives("git.Repo.remote git.Repo.create_remote", "git.remote.Remote")
subprocess.alias("git.Repo", "git.repo.Repo git.repo.base.Repo")
