"""Where things are, from the environment."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    services: str = os.environ.get("SHOP_SERVICES", "http://127.0.0.1:8001")
    database: str = os.environ.get("SHOP_DATABASE", "sqlite+aiosqlite:///shop.db")
    settings: str = os.environ.get("SHOP_SETTINGS", "settings.json")


config = Config()
