"""Helpers of the tests that run docker-compose.yml on a real Docker engine."""

import json
import subprocess

import pytest

IMAGE = "postgres:15-alpine"


def unavailable_reason():
    """Why the tests cannot run here; None where they can."""
    for command, reason in (
        (["docker", "info"], "no Docker engine answers"),
        (["docker", "image", "inspect", IMAGE], f"this machine has no image {IMAGE}"),
    ):
        try:
            done = subprocess.run(command, check=False, capture_output=True)
        except OSError:
            return "docker is not installed"
        if done.returncode:
            return reason
    return None


REASON = unavailable_reason()
needs_docker = pytest.mark.skipif(REASON is not None, reason=f"compose: {REASON}")


def runs(*command):
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def compose(tool, project, *words):
    return subprocess.run(
        [*tool, *words],
        check=True,
        capture_output=True,
        text=True,
        cwd=project.folder,
        env=project.environment,
    ).stdout


def inspect(tool, project):
    container = compose(tool, project, "ps", "-q", "postgres").strip()
    command = ["docker", "inspect", container]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)[0]
