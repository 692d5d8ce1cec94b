"""Settings from a file, read whenever they are asked for."""

import json
from pathlib import Path

SETTINGS = Path("settings.json")


class Settings:
    def __init__(self, path: Path = SETTINGS) -> None:
        self.path = path

    @property
    def shop_name(self) -> str:
        return self._load()["shop_name"]

    def _load(self) -> dict[str, str]:
        with open(self.path) as stream:
            return json.load(stream)


settings = Settings()
