"""The audit trail: rows that are recorded, values that are refused, on the model of any table."""

from datetime import UTC, datetime, timedelta
from enum import Enum
from uuid import UUID

import pytest
from peewee import SQL, AutoField, CharField, Model, TextField, UUIDField, fn
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from dbfoundation import AuditTrail, audit_context
from dbfoundation.errors import AppendOnlyError, InvalidValueError
from dbfoundation.runtime.connection import dedicated
from models import AuditLog, BaseModel
from tests.support import execute

ROWS = "SELECT action, entity_type, entity_id, user_id, details FROM audit_log ORDER BY id"


class Invoice(Model):
    """An entity."""

    number = CharField(primary_key=True)


class Draft(Model):
    """An entity whose id comes from the database."""

    id = AutoField()


class Role(str, Enum):  # noqa: UP042 # unlike a StrEnum, it prints another text than its value
    ADMIN = "admin"


def test_record_returns_the_row_as_it_is_stored(pool, settings):
    row = AuditLog.record(
        "invoice.send", entity=("invoice", 7), user_id=42, details={"to": ["ünï"]}
    )
    assert execute(settings, ROWS) == [("invoice.send", "invoice", "7", "42", {"to": ["ünï"]})]
    assert pool.is_closed()
    assert (row.entity_type, row.entity_id, row.user_id) == ("invoice", "7", "42")
    assert abs(datetime.now(UTC) - row.timestamp) < timedelta(minutes=1)
    with pool.connection_context():
        assert AuditLog.get_by_id(row.id).__data__ == row.__data__


def test_the_action_is_positional_or_named(pool, settings):  # noqa: ARG001 # the tables have to exist
    AuditLog.record("a")
    AuditLog.record(action="b")
    null = (None,) * 4
    assert execute(settings, ROWS) == [("a", *null), ("b", *null)]


@pytest.mark.usefixtures("pool")
def test_an_entity_is_a_models_instance_or_a_pair():
    row = AuditLog.record("a", entity=Invoice(number="N-1"))
    assert (row.entity_type, row.entity_id) == ("invoice", "N-1")
    row = AuditLog.record("a", entity=("pair", (1, "b")), user_id=Role.ADMIN)
    assert (row.entity_type, row.entity_id, row.user_id) == ("pair", "(1, 'b')", "admin")


@pytest.mark.parametrize("entity", [Draft(), ("draft", None), ("draft", (1, None))])
def test_an_entity_without_an_id_is_an_error(pool, entity):
    with pytest.raises(InvalidValueError, match="entity: has no id yet"):
        AuditLog.record("a", entity=entity)
    assert pool.is_closed()


@pytest.mark.parametrize("entity", ["ab", (None, 5), (Draft, 5), ("a",), 7])
def test_an_entity_of_another_form_is_an_error(pool, entity):
    with pytest.raises(InvalidValueError, match="entity: must be a model's instance, or a type"):
        AuditLog.record("a", entity=entity)
    assert pool.is_closed()


def test_the_callers_rollback_removes_its_rows(pool, settings):
    with pool.connection_context():
        with pool.atomic() as transaction:
            AuditLog.record("rolled back")
            AuditLog.record_many([{"action": "rolled back"}])
            transaction.rollback()
        AuditLog.record("kept")
    assert [row[0] for row in execute(settings, ROWS)] == ["kept"]


# Values


LONG = "x" * 101
JSON = "details: cannot be written as JSON: "
INVALID = {
    "a long action": ({"action": LONG}, "action: has 101 characters, more than 100"),
    "a long type": ({"action": "a", "entity": (LONG, 1)}, "entity_type: has 101 characters"),
    "a long id": ({"action": "a", "entity": ("t", LONG)}, "entity_id: has 101 characters"),
    "a long user": ({"action": "a", "user_id": LONG}, "user_id: has 101 characters"),
    "NUL": ({"action": "a\0"}, "action: has a NUL character"),
    "half of a pair": ({"action": "\ud800"}, "action: has half of a surrogate pair"),
    "no action": ({"action": None}, "action: must be a text, not a NoneType"),
    "bytes as user": ({"action": "a", "user_id": b"u"}, "user_id: a bytes is not an id"),
    "a model as user": ({"action": "a", "user_id": Draft()}, "user_id: a Draft is not an id"),
    "empty list": ({"action": "a", "details": []}, "details: must be a dict, not a list"),
    "list": ({"action": "a", "details": [1]}, "details: must be a dict, not a list"),
    "digits": ({"action": "a", "details": {"n": 10**5000}}, f"{JSON}Exceeds the limit"),
    "NaN": ({"action": "a", "details": {"x": [float("nan")]}}, f"{JSON}.*not JSON compliant"),
    "set": ({"action": "a", "details": {"x": {1}}}, f"{JSON}Object of type set"),
    "NUL inside": ({"action": "a", "details": {"x": ["\0"]}}, "details: has a NUL character"),
}


@pytest.mark.parametrize(("entry", "message"), INVALID.values(), ids=INVALID)
def test_a_value_that_its_column_cannot_hold_is_an_error_and_adds_no_row(
    pool, settings, entry, message
):
    with pytest.raises(InvalidValueError, match=message):
        AuditLog.record(**entry)
    with pytest.raises(InvalidValueError, match=message), audit_context(request_id="r"):
        AuditLog.record_many([{"action": "a"}, entry])
    assert execute(settings, ROWS) == []
    assert pool.is_closed()


@pytest.mark.usefixtures("pool")
def test_details_inside_of_themselves_are_an_error():
    endless = {}
    endless["list"] = [endless]
    with pytest.raises(InvalidValueError, match="details: nested too deeply, or inside of itself"):
        AuditLog.record("a", details=endless)


def test_a_hundred_characters_fit_of_any_number_of_bytes(pool, settings):  # noqa: ARG001 # the tables have to exist
    AuditLog.record("😀" * 100)
    assert execute(settings, ROWS)[0][0] == "😀" * 100


# The model


class Journal(AuditTrail, BaseModel):
    """An audit trail in a table whose name needs quotes, with its owner's lengths and columns."""

    id = AutoField()
    source = CharField(constraints=[SQL("DEFAULT 'server'")])
    request = UUIDField(constraints=[SQL("DEFAULT gen_random_uuid()")])
    action = CharField(max_length=5)
    entity_type = TextField(null=True)
    entity_id = TextField(null=True)
    user_id = TextField(null=True)
    timestamp = DateTimeTZField(constraints=[SQL("DEFAULT now()")])
    data = BinaryJSONField(null=True, index=False, column_name="details")

    class Meta:
        schema = "Web App"
        table_name = "Audit Journal"


@pytest.fixture
def journal(pool, settings):
    execute(settings, 'CREATE SCHEMA "Web App"')
    with pool.connection_context():
        Journal.create_table()
    return Journal


def test_a_table_of_any_name_in_any_schema_is_an_audit_trail(journal):
    row = journal.record("a", entity=("t", 1), user_id=2, details={"password": "hunter2"})
    journal.record_many([{"action": "b", "user_id": 2}])
    assert [stored.action for stored in journal.for_user(2)] == ["b", "a"]
    assert journal.for_entity(("t", 1)) == [row]
    day = timedelta(days=1)
    assert len(journal.between(row.timestamp, row.timestamp + day)) == 2
    assert row.data == {"password": "[masked]"}
    assert AuditLog.for_user(2) == []


def test_record_returns_the_defaults_of_the_owners_columns(journal, pool):
    row = journal.record("a")
    assert row.source == "server"
    assert isinstance(row.request, UUID)
    with pool.connection_context():
        assert journal.get_by_id(row.id).__data__ == row.__data__


def test_the_owners_columns_are_masked(journal, pool):
    with pool.connection_context():
        row = journal.create(action="a", source="?page=2&token=hunter2")
    assert row.source == "?page=2&token=[masked]"


def test_the_owners_lengths_are_the_limits(journal):
    assert journal.record("a" * 5, user_id="u" * 1000).user_id == "u" * 1000
    with pytest.raises(InvalidValueError, match="action: has 6 characters, more than 5"):
        journal.record("a" * 6)


@pytest.mark.usefixtures("pool")
def test_a_column_that_only_the_table_has_is_left_out(settings):
    execute(settings, "ALTER TABLE audit_log ADD added_later TEXT DEFAULT 'new'")
    row = AuditLog.record("a", user_id=7)
    assert AuditLog.for_user(7) == [row]


@pytest.mark.usefixtures("pool")
def test_a_model_that_is_bound_to_another_database_writes_and_reads_there(settings):
    other = dedicated(settings, "other")
    with other.bind_ctx([AuditLog]), other.connection_context(), other.atomic() as transaction:
        AuditLog.record("one", user_id=7)
        AuditLog.record_many([{"action": "two", "user_id": 7}])
        assert len(AuditLog.for_user(7)) == 2
        transaction.rollback()
    assert AuditLog.for_user(7) == []


# Append-only


def test_no_method_of_the_model_updates_or_deletes_a_row(pool, settings):
    with pool.connection_context():
        row = AuditLog.create(action="kept")
        row.action = "changed"
        attempts = [
            row.save,
            row.delete_instance,
            lambda: AuditLog.update(action="changed").execute(),
            lambda: AuditLog.delete().execute(),
            lambda: AuditLog.delete_by_id(row.id),
            lambda: AuditLog.set_by_id(row.id, {"action": "changed"}),
            lambda: AuditLog.bulk_update([row], ["action"]),
            AuditLog.truncate_table,
            AuditLog.drop_table,
            lambda: AuditLog.replace(id=row.id, action="changed").execute(),
            lambda: (
                AuditLog.insert(id=row.id, action="changed")
                .on_conflict(conflict_target=[AuditLog.id], update={AuditLog.action: "changed"})
                .execute()
            ),
            lambda: AuditLog.insert_many([{"action": "changed"}]).on_conflict(preserve=["action"]),
            lambda: row.save(force_insert=False),
        ]
        for attempt in attempts:
            with pytest.raises(AppendOnlyError, match="the audit trail is append-only"):
                attempt()
    assert [stored[0] for stored in execute(settings, ROWS)] == ["kept"]


SECRET = {"password": "hunter2", "n": 1}
WAYS = {
    "create": AuditLog.create,
    "get_or_create": lambda **row: AuditLog.get_or_create(action="a", defaults=row),
    "save": lambda **row: AuditLog(**row).save(),
    "insert": lambda **row: AuditLog.insert(row).execute(),
    "insert by fields": lambda **row: AuditLog.insert(
        {getattr(AuditLog, name): value for name, value in row.items()}
    ).execute(),
    "insert_many": lambda **row: AuditLog.insert_many([row]).execute(),
    "insert_many of tuples": lambda **row: AuditLog.insert_many(
        [(*row.values(),)], fields=[*row]
    ).execute(),
    "bulk_create": lambda **row: AuditLog.bulk_create([AuditLog(**row)]),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_of_peewees_ways_masks_and_takes_the_context(pool, settings, way):
    with pool.connection_context(), audit_context(user_id=7, request_id="r"):
        WAYS[way](action="a", details=SECRET)
    expected = {"password": "[masked]", "n": 1, "request_id": "r"}
    assert execute(settings, ROWS) == [("a", None, None, "7", expected)]


def test_a_row_of_another_query_cannot_be_masked_and_is_refused(pool, settings):
    with pool.connection_context():
        with pytest.raises(AppendOnlyError, match=r"not masked\nFix: pass the rows to record_many"):
            AuditLog.insert_from(AuditLog.select(AuditLog.action), [AuditLog.action])
        with pytest.raises(InvalidValueError, match="details: must be a dict"):
            AuditLog.insert(action="a", details=fn.jsonb_build_object("password", "hunter2"))
    assert execute(settings, ROWS) == []


def test_create_returns_the_servers_defaults(pool):
    with pool.connection_context():
        row = AuditLog.create(action="a")
        assert AuditLog.get_by_id(row.id).__data__ == row.__data__
    assert row.timestamp is not None


def test_peewees_methods_add_and_read_rows(pool):
    with pool.connection_context():
        created = AuditLog.create(action="one", details={"text": "ünï"})
        AuditLog(action="two").save()
        AuditLog.insert(action="three").execute()
        AuditLog.insert_many([{"action": "four"}]).execute()
        AuditLog.bulk_create([AuditLog(action="five")])
        AuditLog.insert(id=created.id, action="six").on_conflict_ignore().execute()
        assert AuditLog.get(AuditLog.action == "one").id == created.id
        assert AuditLog.select().where(AuditLog.details["text"] == "ünï").count() == 1
        assert AuditLog.select().count() == 5
