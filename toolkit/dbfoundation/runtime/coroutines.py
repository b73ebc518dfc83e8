"""The coroutine that runs at present."""

from __future__ import annotations

import sys
from typing import Any


def current_task() -> Any:  # noqa: ANN401 # asyncio is imported by those who use it
    """The asyncio task that runs on this thread, or None.

    Importing asyncio takes 30 ms, and a program that has not imported it runs no task.
    """
    asyncio = sys.modules.get("asyncio")
    running_loop = getattr(asyncio, "_get_running_loop", None)  # None while it is being imported
    loop = running_loop and running_loop()
    return loop and asyncio.current_task(loop)  # type: ignore[union-attr] # it is imported
