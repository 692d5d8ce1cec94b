"""Reports, passwords and settings: work that holds the event loop."""

import asyncio
import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

from shop.config import config

ARCHIVE = Path(config.settings).with_name("archive.zip")


class Settings:
    """Settings from a file, read whenever they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        return self._load()["name"]

    def _load(self) -> dict[str, str]:
        with open(self.path, encoding="utf-8") as stream:
            return json.load(stream)


settings = Settings(Path(config.settings))


async def title() -> str:
    return settings.name  # slow: APL103


async def title_in_thread() -> str:
    return await asyncio.to_thread(lambda: settings.name)


def _render(month: str) -> str:
    program = f"import time; time.sleep(0.1); print('report of', {month!r})"
    return subprocess.run([sys.executable, "-I", "-c", program], check=True, capture_output=True, text=True).stdout


async def monthly(month: str) -> str:
    return _render(month)  # slow: APL105


async def monthly_in_thread(month: str) -> str:
    return await asyncio.to_thread(_render, month)


async def hashed(password: str) -> str:
    return hashlib.scrypt(password.encode(), salt=b"salt", n=2**15, r=8, p=1, maxmem=2**26).hex()  # slow: APL114


async def hashed_in_thread(password: str) -> str:
    digest = await asyncio.to_thread(
        hashlib.scrypt, password.encode(), salt=b"salt", n=2**15, r=8, p=1, maxmem=2**26
    )
    return digest.hex()


def _pack(target: Path) -> int:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(config.settings, "settings.json")
    return target.stat().st_size


async def archived() -> int:
    return _pack(ARCHIVE)  # slow: APL114


def archive_name(month: str) -> str:
    """Pure path functions read nothing."""
    return ARCHIVE.with_stem(month).name
