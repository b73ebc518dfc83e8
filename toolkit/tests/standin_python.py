"""A local image with the name of the Dockerfile's base, for machines that reach no image registry.

`python -m tests.standin_python` makes it of a Python of pyenv, the libraries that Python loads,
this machine's shell, and its configuration of pip and of certificates. An image that exists is left
alone. The Dockerfile is then built as it is; `--network=host` gives pip this machine's index.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.containers import runs
from tests.support import LIBRARY

DOCKERFILE = LIBRARY.parent / "Dockerfile"
CHANGES = ("ENV PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8", 'CMD ["python3"]')
PROGRAMS = ("sh", "rm")
CONFIGURATION = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt", "/etc/nsswitch.conf")
NOT_NEEDED = ("__pycache__", "test", "idlelib", "config-*", "*.a", "site-packages")
# The libraries that a wheel for every Linux may expect (PEP 600), beside those of Python.
EXPECTED = ("pthread.so.0", "dl.so.2", "rt.so.1", "util.so.1", "resolv.so.2", "gcc_s.so.1")
LIBRARY_PATH = re.compile(r"(?:=> |^\s*)(/\S+) \(0x", re.MULTILINE)


def base_image() -> str:
    """The image that the Dockerfile begins with."""
    return re.findall(r"^FROM (\S+)", DOCKERFILE.read_text(), re.MULTILINE)[0]


def unavailable_reason() -> str | None:
    """Why no image can be built here; None where it can."""
    if not DOCKERFILE.exists():
        return "it is not in this copy"
    exists = runs("docker", "image", "inspect", base_image())
    return None if exists else f"this machine has no image {base_image()}"


def build() -> None:
    version = base_image().partition(":")[2].removesuffix("-slim")
    words = ["pyenv", "prefix", *_output("pyenv", "latest", version).split()]
    python = Path(_output(*words).strip())
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        _copy_python(python, root / "usr/local", version)
        for program in PROGRAMS:
            _copy(Path(shutil.which(program) or program), root, Path("/bin", program))
        for file in CONFIGURATION:
            if Path(file).exists():
                _copy(Path(file), root)
        _copy_libraries(root, python)
        (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        for folder in ("root", "tmp", "proc", "sys", "dev"):
            (root / folder).mkdir()
        (root / "tmp").chmod(0o1777)
        _load(root)


def _copy_python(python: Path, target: Path, version: str) -> None:
    lib = target / "lib" / f"python{version}"
    ignore = shutil.ignore_patterns(*NOT_NEEDED)
    shutil.copytree(python / "lib" / lib.name, lib, ignore=ignore)
    for library in (python / "lib").glob("libpython*.so*"):
        _copy(library, target.parent, Path("lib", library.name))  # where the loader looks
    for name in (lib.name, "python3", "python"):
        _copy(python / "bin" / lib.name, target, Path("bin", name))


def _copy_libraries(root: Path, python: Path) -> None:
    """Copy the shared libraries that the programs and Python's modules load."""
    files = [path for path in root.rglob("*") if path.suffix == ".so" or path.parent.name == "bin"]
    listed = subprocess.run(["ldd", *files], check=False, capture_output=True, text=True).stdout
    libraries = {Path(name) for name in LIBRARY_PATH.findall(listed)}
    [libc] = [library for library in libraries if library.name == "libc.so.6"]
    for library in libraries | {libc.with_name(f"lib{name}") for name in EXPECTED}:
        if not library.is_relative_to(root) and not library.is_relative_to(python):
            _copy(library, root)


def _copy(file: Path, root: Path, place: Path | None = None) -> None:
    target = root / (place or file).relative_to((place or file).anchor)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, target)


def _load(root: Path) -> None:
    changes = [word for change in CHANGES for word in ("--change", change)]
    with subprocess.Popen(
        ["tar", "-C", root, "--owner=0", "--group=0", "--mode=a+rX", "-c", "."],
        stdout=subprocess.PIPE,
    ) as archive:
        command = ["docker", "import", *changes, "-", base_image()]
        subprocess.run(command, check=True, stdin=archive.stdout)


def _output(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    if unavailable_reason():
        build()
