"""The pages of the documentation as scripts: their code blocks are files, commands and outputs.

- A block of a file, such as ```python, begins with a comment that has its path. `# PATH, at the
  end` appends to the file.
- A ```console block has commands after `$ `, each followed by its output. A comment `# exit code N`
  is the exit code of its command; the default is 0. Times, ports and process ids may differ.
- A ```mermaid block is a diagram.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADER = re.compile(r"(?:#|--|//) (\S+?)(, at the end)?\n")
EXIT_CODE = re.compile(r"# exit code (\d+)$")
# A draft that takes more than a second prints its progress, too.
PROGRESS = re.compile(
    r"^(applied \w+ to a scratch database|comparing the result of .*|proving the draft)\n",
    re.MULTILINE,
)
# What differs between two runs of a command.
VARIABLE = {
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d": "a time",
    r"\d+ ms": "milliseconds",
    r"(?<=passed in )[\d.]+s": "seconds",
    r"(?<=127\.0\.0\.1:)\d+": "a port",
    r"(?<=pid )\d+": "a process",
    r"Docker Compose|a private server": "a provider",
    r"PostgreSQL 15\.\d+": "a version",
}


@dataclass(frozen=True)
class Command:
    """A command, and the output that the page shows."""

    text: str
    output: str

    @property
    def exit_code(self) -> int:
        found = EXIT_CODE.search(self.text)
        return int(found[1]) if found else 0


@dataclass(frozen=True)
class File:
    """A file that the page shows."""

    path: str
    text: str
    is_appended: bool


def read_page(text: str) -> list[Command | File]:
    """The commands and files of a page; raises ValueError for another kind of code block."""
    parts: list[Command | File] = []
    for language, content in BLOCK.findall(text):
        if language == "console":
            for part in re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                parts.append(Command(command, output))
        elif header := HEADER.match(content):
            parts.append(File(header[1], content, is_appended=bool(header[2])))
        elif language != "mermaid":
            raise ValueError(f"a code block has no path and is no command:\n{content}")
    return parts


def write_file(folder: Path, file: File) -> None:
    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a" if file.is_appended else "w", encoding="utf-8") as stream:
        stream.write("\n" * file.is_appended + file.text)


def run_command(command: Command, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Run a command of a page; returns its exit code and its output, both streams in one."""
    programs = {"invoke": f"{shlex.quote(sys.executable)} -m invoke"} | {
        name: shlex.quote(sys.executable) for name in ("python", "python3")
    }
    functions = "\n".join(f'{name}() {{ {program} "$@"; }}' for name, program in programs.items())
    done = subprocess.run(
        ["bash", "-c", f"{functions}\n{command.text}"],
        check=False,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def normalize(output: str) -> str:
    """The output with a name in place of everything that may differ."""
    output = PROGRESS.sub("", output)
    for pattern, name in VARIABLE.items():
        output = re.sub(pattern, f"<{name}>", output)
    return output
