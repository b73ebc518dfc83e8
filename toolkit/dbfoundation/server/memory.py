"""The project's note of the provider that worked last, and of the place of its data."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Memory:
    """The file `.postgres/last-way` of a project: a provider's key, and a line with the place."""

    def __init__(self, root: Path) -> None:
        self.file = root / ".postgres" / "last-way"

    def read(self) -> tuple[str, str]:
        """The key and the place; empty where there is no such note."""
        try:
            key, _, place = self.file.read_text(encoding="utf-8").partition("\n")
        except (OSError, UnicodeDecodeError):
            return "", ""
        return key.strip(), place.strip()

    def write(self, key: str, place: str | None) -> None:
        with suppress(OSError):  # in a read-only project, the data themselves are looked for
            self.file.parent.mkdir(exist_ok=True)
            self.file.write_text(f"{key}\n{place or ''}\n", encoding="utf-8")

    def clear(self) -> None:
        with suppress(OSError):
            self.file.unlink(missing_ok=True)
            self.file.parent.rmdir()
