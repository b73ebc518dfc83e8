"""Which provider db-up starts: the one that has the data, and no other in its place."""

import pytest

from dbfoundation.errors import ServerError
from dbfoundation.server.development import Answer
from tests.providers import OURS, FakeProvider, development_server, needs_programs
from tests.support import ignore, only_in_ci


def write_note(folder, text):
    """Leave a note of the provider that worked last."""
    (folder / ".postgres").mkdir()
    (folder / ".postgres" / "last-way").write_bytes(text)


@only_in_ci
@needs_programs
def test_without_data_a_provider_that_fails_is_reported_and_the_next_one_is_tried(
    server_without_data, tmp_path
):
    server = server_without_data
    reports = []
    providers = {"docker": FakeProvider(), "local": server}
    answer = development_server(tmp_path, server.settings, reports.append, **providers).start()
    assert answer == Answer(OURS, answer.version, was_started=True)
    assert "Fake: its image cannot be pulled" in reports
    assert f"starting PostgreSQL: {OURS}, with new data" in reports


@needs_programs
def test_the_provider_that_has_the_data_starts_its_server_whatever_the_order(
    private_server, tmp_path
):
    """No note of the last provider exists: a fresh clone, or a read-only project."""
    private_server.stop(ignore)
    reports = []
    providers = {"docker": FakeProvider(), "local": private_server}
    server = development_server(tmp_path, private_server.settings, reports.append, **providers)
    assert server.start().provider == OURS
    assert reports[0] == f"starting PostgreSQL: {OURS}"
    note = (tmp_path / ".postgres" / "last-way").read_text()
    assert note == f"local\n{private_server.data}\n"


@needs_programs
@pytest.mark.parametrize("note", ["docker", "docker\na fake place\n"])
def test_the_last_provider_s_data_are_never_replaced_by_those_of_another(
    server_without_data, tmp_path, note
):
    """The note of 0.2 has no second line."""
    write_note(tmp_path, note.encode())
    docker = FakeProvider(unavailable="no Docker engine answers", advice="start Docker", data=True)
    providers = {"docker": docker, "local": server_without_data}
    server = development_server(tmp_path, server_without_data.settings, **providers)
    with pytest.raises(ServerError) as caught:
        server.start()
    for words in ("has this project's data: no Docker engine", "Fix: start Docker", "--via local"):
        assert words in str(caught.value)
    assert not server_without_data.data.exists()
    server.via = "local"
    assert server.start().provider == OURS


@only_in_ci
@needs_programs
def test_the_last_provider_s_failing_start_is_no_reason_to_try_another(
    server_without_data, tmp_path
):
    write_note(tmp_path, b"docker\n")
    providers = {"docker": FakeProvider(data=True), "local": server_without_data}
    with pytest.raises(ServerError, match=r"cannot be pulled\nFix: correct that; or .*--via local"):
        development_server(tmp_path, server_without_data.settings, **providers).start()
    assert not server_without_data.data.exists()


@needs_programs
def test_data_of_two_providers_need_a_choice(private_server, tmp_path):
    private_server.stop(ignore)
    providers = {"docker": FakeProvider(data=True), "local": private_server}
    server = development_server(tmp_path, private_server.settings, **providers)
    with pytest.raises(ServerError, match=r"choose with `invoke db-up --via docker` or .*local"):
        server.start()
    server.via = "local"
    assert server.start().provider == OURS
    private_server.stop(ignore)
    server.via = None
    assert server.start().provider == OURS


@only_in_ci
@needs_programs
@pytest.mark.parametrize("note", [b"", b"\xff\xfe", b"podman\n/x\n", b"\0\n\n\n", b"docker\n"])
def test_a_note_that_means_nothing_changes_nothing(private_server, tmp_path, note):
    """In the last of them, the data of the provider were removed."""
    private_server.stop(ignore)
    write_note(tmp_path, note)
    providers = {"docker": FakeProvider(), "local": private_server}
    server = development_server(tmp_path, private_server.settings, **providers)
    assert server.start().provider == OURS
