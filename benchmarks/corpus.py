"""The packages that are measured: pinned wheels, fetched with pip and unpacked below `benchmarks/corpus`."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORPUS = (HERE / "corpus").resolve()
WHEELS = CORPUS / "wheels"
TREES = CORPUS / "trees"

LARGE = {
    "homeassistant": "2026.11.0",
    "litellm": "1.109.1",
    "open-webui": "0.12.4",
    "prefect": "3.9.1",
    "mlflow": "3.18.0",
    "langchain-community": "0.4.2",
}
LABELLED = {
    "agno": "3.1.10",
    "apache-airflow-core": "3.3.2",
    "autogen-agentchat": "0.7.5",
    "chainlit": "2.12.0",
    "crewai": "1.15.30",
    "distributed": "2026.8.0",
    "django": "6.1.3",
    "matrix-synapse": "1.163.2",
    "metagpt": "0.8.2",
    "openhands-ai": "1.11.0",
    "sqlalchemy": "2.1.9",
}
PACKAGES = LARGE | LABELLED


def tree_of(package: str) -> Path:
    """Where `package` (a distribution name) is unpacked."""
    return TREES / _directory_name(package)


def fetch(packages: dict[str, str] = PACKAGES, wheels: Path | None = None) -> None:
    """Unpack `packages` (name to version), taking wheels from the directory `wheels` where it has them.

    Raises `subprocess.CalledProcessError` where pip cannot download one.
    """
    for package, version in packages.items():
        if not tree_of(package).is_dir():
            unpack(_find(wheels, package, version) or _download(package, version), tree_of(package))


def unpack(wheel: Path, target: Path) -> None:
    """Put the Python files of `wheel` below `target`, which appears only when all of them are there."""
    unfinished = target.with_name(target.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unfinished, [name for name in archive.namelist() if name.endswith(".py")])
    unfinished.rename(target)


def lines_and_files(tree: Path) -> tuple[int, int]:
    """How many lines and how many Python files `tree` has."""
    files = list(tree.rglob("*.py"))
    return sum(file.read_bytes().count(b"\n") for file in files), len(files)


def _directory_name(package: str) -> str:
    return package.replace("-", "_")


def _find(wheels: Path | None, package: str, version: str) -> Path | None:
    if wheels is None or not wheels.is_dir():
        return None
    return next(wheels.glob(f"{_directory_name(package)}-{version}-*.whl"), None)


def _download(package: str, version: str) -> Path:
    """Any Python's wheel will do: nothing of it is ever run."""
    WHEELS.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--ignore-requires-python", "--dest", str(WHEELS), f"{package}=={version}"]
    if _find(WHEELS, package, version) is None:
        subprocess.run(command, check=True)
    wheel = _find(WHEELS, package, version)
    if wheel is None:
        raise FileNotFoundError(f"pip left no wheel of {package} {version} in {WHEELS}")
    return wheel


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheels", type=Path, help="take wheels from here instead of downloading them")
    options = parser.parse_args(arguments)
    fetch(wheels=options.wheels)
    for package, version in PACKAGES.items():
        lines, files = lines_and_files(tree_of(package))
        print(f"{package} {version}: {lines:,} lines in {files:,} files")


if __name__ == "__main__":
    main()
