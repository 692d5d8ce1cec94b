"""Files and paths: what reads or writes (`file`), and what only asks the file system (`path`)."""

from __future__ import annotations

from agentperf_rules.catalogue.family import Family

file = Family("file", "medium")
path = Family("path", "low")

# Opening
file.calls("builtins", "open", use="aiofiles.open()")
file.calls("io", "open_code", use="aiofiles.open()")
file.calls("os", "fdopen", use="aiofiles.open()")
file.calls("codecs", "open", use="aiofiles.open()")
file.alias("builtins.open", "io.open _io.open")
file.alias("builtins", "six.moves.builtins __builtin__ future.builtins")
file.calls("gzip bz2 lzma", "open")
file.calls("lz4.frame zstandard", "open")
file.calls("tokenize", "open")
file.calls("fileinput", "input")
file.gives(
    "builtins.open io.open_code os.fdopen codecs.open gzip.open bz2.open lzma.open pathlib.Path.open tempfile.TemporaryFile"
    " tempfile.NamedTemporaryFile tokenize.open io.FileIO zipfile.ZipFile.open tarfile.TarFile.extractfile",
    "io.TextIOWrapper",
)
file.alias("io", "_io")
FILE_CLASSES = "io.TextIOWrapper io.FileIO"
file.calls(FILE_CLASSES, "read readline readlines readinto readall write writelines truncate", use="aiofiles.open()", severity="low")
file.calls(FILE_CLASSES, "flush", use="aiofiles.open()", severity="low")
file.subclass(
    "io.BufferedReader io.BufferedWriter io.BufferedRandom gzip.GzipFile bz2.BZ2File lzma.LZMAFile typing.TextIO typing.BinaryIO"
    " codecs.StreamReaderWriter",
    "io.TextIOWrapper",
)
file.calls("gzip", "GzipFile")
file.calls("bz2", "BZ2File")
file.calls("lzma", "LZMAFile")

# Whole documents from or to an open file
file.calls("json simplejson rapidjson ujson", "load dump", use="json.loads() or json.dumps() on text read with aiofiles", severity="low")
file.calls("pickle cloudpickle dill marshal", "load dump", severity="medium")
file.alias("pickle", "_pickle cPickle six.moves.cPickle")
file.calls("joblib", "load dump", severity="high")
file.calls("tomllib tomli toml", "load", severity="low")
file.calls("toml tomli_w", "dump", severity="low")
file.calls("configparser.ConfigParser", "read", severity="low")
file.subclass("configparser.RawConfigParser configparser.SafeConfigParser", "configparser.ConfigParser")
file.calls("dotenv", "load_dotenv dotenv_values find_dotenv set_key unset_key", severity="low")
file.calls("shelve dbm", "open")
file.calls("importlib.resources", "read_text read_binary open_text open_binary", severity="low")
file.calls("importlib.metadata", "distributions entry_points packages_distributions", severity="low")
file.alias("importlib.metadata", "importlib_metadata")
file.calls("pkgutil", "get_data", severity="low")

# os: reading, writing, syncing
file.calls("os", "fsync sync", severity="high")
file.alias("os.fsync", "os.fdatasync")
file.calls("os", "pread pwrite sendfile copy_file_range truncate ftruncate")
file.calls("os", "open", severity="low")

# shutil, tempfile
file.calls("shutil", "copy copy2 copyfile copytree move rmtree make_archive unpack_archive copyfileobj")
file.calls("shutil", "copymode copystat chown disk_usage", severity="low")
file.calls("tempfile", "mkstemp mkdtemp", severity="low")
file.calls("tempfile", "TemporaryFile", use="aiofiles.tempfile.TemporaryFile", severity="low")
file.calls("tempfile", "NamedTemporaryFile", use="aiofiles.tempfile.NamedTemporaryFile", severity="low")
file.calls("tempfile", "TemporaryDirectory", use="aiofiles.tempfile.TemporaryDirectory", severity="low")
file.calls("tempfile.TemporaryDirectory", "cleanup", severity="low")
file.calls("filecmp", "cmp cmpfiles")

# pathlib: contents
file.calls("pathlib.Path", "open", use="anyio.Path.open()")
for name in ["read_text", "read_bytes", "write_text", "write_bytes"]:
    file.calls("pathlib.Path", name, use=f"anyio.Path.{name}()")
file.calls("pathlib.Path", "copy copy_into move move_into", use="anyio.Path", since="3.14")

# pathlib: the file system
for name in ["exists", "is_file", "is_dir", "is_symlink", "is_mount", "is_socket", "is_fifo", "is_block_device", "is_char_device", "stat", "lstat", "mkdir", "rmdir", "unlink", "rename", "replace", "touch", "chmod", "lchmod", "symlink_to", "hardlink_to", "readlink", "resolve", "samefile", "owner", "group", "iterdir", "glob", "rglob", "walk"]:
    path.calls("pathlib.Path", name, use=f"anyio.Path.{name}()")
path.alias("pathlib", "pathlib2")
path.subclass("pathlib.PosixPath pathlib.WindowsPath py.path.local", "pathlib.Path")
path.subclass("pathlib.Path", "pathlib.PurePath")
path.methods_give(
    "pathlib.Path",
    "parent resolve absolute cwd home expanduser joinpath with_suffix with_name with_stem with_segments relative_to readlink"
    " rename replace copy move __truediv__ __rtruediv__",
    "pathlib.Path",
)
path.methods_give("pathlib.PurePath", "parent joinpath with_suffix with_name with_stem relative_to __truediv__ __rtruediv__", "pathlib.PurePath")
path.methods_give("pathlib.Path", "iterdir glob rglob parents", "builtins.list", of="pathlib.Path")
path.methods_give("importlib.resources", "files", "importlib.resources.abc.Traversable")
file.calls("importlib.resources.abc.Traversable", "read_text read_bytes open", severity="low")
file.methods_give("importlib.resources.abc.Traversable", "joinpath __truediv__", "importlib.resources.abc.Traversable")
file.alias("importlib.resources", "importlib_resources")

# os, os.path, glob
path.calls("os.path", "exists lexists isfile isdir islink ismount getsize getmtime getatime getctime samefile realpath", use="aiofiles.os.path")
path.alias("os.path", "posixpath ntpath")
path.alias("os", "posix nt")
for name in ["stat", "remove", "unlink", "rename", "renames", "replace", "mkdir", "makedirs", "rmdir", "removedirs", "listdir", "scandir", "access", "link", "symlink", "readlink"]:
    path.calls("os", name, use=f"aiofiles.os.{name}()")
path.calls("os", "lstat statvfs chmod chown lchown utime mkfifo mknod listxattr getxattr setxattr chdir")
path.calls("os", "walk fwalk", severity="medium")
path.calls("glob", "glob", severity="medium")
path.calls("glob", "iglob", severity="medium")

# Awaitable files cost a thread hop, not a round trip: nothing to say about loops.
file.async_context("aiofiles.base.AiofilesContextManager aiofiles.base.AsyncBase anyio.AsyncFile aiofiles.open() anyio.open_file()")
