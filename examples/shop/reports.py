"""Monthly reports."""

import asyncio
import subprocess
from pathlib import Path

import bcrypt

REPORTS = Path("reports")


def _render(month: str) -> Path:
    subprocess.run(["wkhtmltopdf", f"{month}.html", f"{month}.pdf"], check=True)
    return REPORTS / f"{month}.pdf"


async def monthly(month: str) -> bytes:
    path = _render(month)  # slow: APL105
    return path.read_bytes()  # slow: APL103


async def monthly_in_thread(month: str) -> bytes:
    path = await asyncio.to_thread(_render, month)
    return await asyncio.to_thread(path.read_bytes)


async def archive(months: list[str]) -> None:
    for month in months:
        asyncio.to_thread(_render, month)  # slow: APL120


async def check_password(password: str, hashed: bytes) -> bool:
    return bcrypt.checkpw(password.encode(), hashed)  # slow: APL114


def report_name(month: str) -> str:
    # Pure path functions read nothing.
    return (REPORTS / month).with_suffix(".pdf").name
