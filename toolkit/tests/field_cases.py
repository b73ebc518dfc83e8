"""Every kind of Peewee's fields with a value, and a table of which one column is such a field."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal

import peewee as pw
from playhouse import postgres_ext as ext

from dbfoundation.migrations.operations import StrictMigrator
from dbfoundation.runtime.fields import Timestamp6Field
from dbfoundation.schema import catalog

NOON = dt.datetime(2026, 1, 2, 12, 30, 15, 250000)  # noqa: DTZ001 # a value of a timestamp without time zone
HARD = 'it\'s 100% "so" \\ {ok} %s'
# The field, and a value of it.
FIELDS = {
    "integer": (pw.IntegerField, 7),
    "bigint": (pw.BigIntegerField, 2**40),
    "smallint": (pw.SmallIntegerField, 3),
    "float": (pw.FloatField, 1.5),
    "double": (pw.DoubleField, 0.1),
    "decimal": (lambda **k: pw.DecimalField(max_digits=12, decimal_places=2, **k), Decimal("9.90")),
    "char": (lambda **k: pw.CharField(max_length=40, **k), HARD),
    "char without length": (lambda **k: pw.CharField(max_length=None, **k), HARD),
    "collated": (lambda **k: pw.CharField(collation='"C"', **k), "a"),
    "fixed char": (lambda **k: pw.FixedCharField(max_length=2, **k), "de"),
    "text": (pw.TextField, HARD),
    "blob": (pw.BlobField, b"\x00'%\xff"),
    "bit": (pw.BitField, 5),
    "big bit": (pw.BigBitField, b"\x01"),
    "uuid": (pw.UUIDField, uuid.UUID(int=1)),
    "binary uuid": (pw.BinaryUUIDField, uuid.UUID(int=1)),
    "datetime": (pw.DateTimeField, NOON),
    "timestamp(6)": (Timestamp6Field, NOON),
    "date": (pw.DateField, NOON.date()),
    "time": (pw.TimeField, NOON.time()),
    "timestamp number": (
        lambda **k: pw.TimestampField(**{"utc": True} | k),
        NOON.replace(microsecond=0),
    ),
    "ip": (pw.IPField, "10.0.0.1"),
    "boolean": (pw.BooleanField, True),
    "json": (ext.JSONField, {"a": [HARD, None]}),
    "jsonb": (ext.BinaryJSONField, {"a": [HARD, None]}),
    "jsonb without index": (lambda **k: ext.BinaryJSONField(**{"index": False} | k), [1]),
    "peewee's json": (pw.JSONField, {"a": HARD}),
    "array": (ext.ArrayField, [1, 2]),
    "array of text": (lambda **k: ext.ArrayField(pw.TextField, **k), [HARD, "b"]),
    "empty array": (lambda **k: ext.ArrayField(pw.CharField, {"max_length": 9}, **k), []),
    "array of arrays": (lambda **k: ext.ArrayField(dimensions=2, **k), [[1], [2]]),
    "timestamptz": (ext.DateTimeTZField, NOON.replace(tzinfo=dt.UTC)),
    "interval": (ext.IntervalField, dt.timedelta(days=1, seconds=5)),
    "tsvector": (ext.TSVectorField, "'a':1"),
}
NO_BTREE = {"json"}


def make(kind, **options):
    return FIELDS[kind][0](**options)


def value_of(kind):
    return FIELDS[kind][1]


def model(**fields):
    """A class Thing of the table things, with these fields."""
    options = type("Meta", (), {"table_name": "things"})
    fields = {name: field for name, field in fields.items() if field is not None}
    return type("Thing", (pw.Model,), {"name": pw.CharField(null=True), "Meta": options} | fields)


class Bench:
    """Runs operations on the table things, each in a file of its own, and reads the schema."""

    def __init__(self, db):
        self.db = db
        db.execute_sql("DROP TABLE IF EXISTS things, owners CASCADE")
        self.migrator = StrictMigrator(db, lambda _: None)

    def create(self, *rows, **fields):
        """The table of an earlier file, with rows; an empty row leaves none."""
        thing = self.migrator.create_model(model(**fields))
        for row in [{"name": "first"}] if rows == () else rows:
            if row:
                thing.create(**row)
        self.migrator.begin_file()
        return thing

    def schema(self, *, without_default_of=()):
        """The table's objects; `without_default_of` columns have no DEFAULT in it."""
        objects = {}
        for thing in catalog.read(self.db, schemas=["public"]):
            details = dict(thing.details)
            if thing.name in {f"things.{column}" for column in without_default_of}:
                details.pop("default", None)
            objects[thing.kind, thing.table, thing.name] = details
        return objects

    def fresh(self, **fields):
        """The schema of a new table with these fields."""
        with self.db.atomic() as transaction:
            self.db.execute_sql("DROP TABLE things CASCADE")
            StrictMigrator(self.db, lambda _: None).create_model(model(**fields))
            schema = self.schema()
            transaction.rollback()
        return schema
