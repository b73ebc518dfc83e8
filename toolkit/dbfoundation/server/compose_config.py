"""Where docker-compose.yml keeps a service's data, as Compose itself resolves it.

Version 2 prints its configuration as JSON. Version 1 prints YAML without the name of the project,
which is in its log.
"""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from dbfoundation.server.processes import output_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROJECT = re.compile(r"com\.docker\.compose\.project=([-_a-z0-9]+)")


def data_source(
    compose: tuple[str, ...], folder: Path, environment: Mapping[str, str], target: str
) -> str | None:
    """The name of the volume, or the folder, that is mounted at `target`; None for neither."""
    output = partial(output_of, *compose, cwd=folder, env=environment)
    if compose == ("docker-compose",):
        log = output("--verbose", "ps", "-q", stderr=True)
        return _from_version_1(output("config") or "", log or "", target)
    config = output("config", "--format", "json")
    return _from_version_2(json.loads(config), target) if config else None


def _from_version_2(config: dict[str, Any], target: str) -> str | None:
    mounts = [
        mount
        for service in config["services"].values()
        for mount in service.get("volumes") or []
        if mount.get("target") == target and mount.get("source")
    ]
    for mount in mounts:
        source = str(mount["source"])
        return str(config["volumes"][source]["name"]) if mount["type"] == "volume" else source
    return None


def _from_version_1(config: str, log: str, target: str) -> str | None:
    mount = re.search(rf"- ([^\s:]+):{re.escape(target)}(?::|$)", config, re.MULTILINE)
    project = PROJECT.search(log)
    if not mount or not project:
        return None
    source = mount[1]
    return source if source.startswith("/") else f"{project[1]}_{source}"
