"""The models are compared with the live schema: every change of a table is found."""

import pytest
from peewee import SQL, CharField, DeferredForeignKey, ForeignKeyField, IntegerField, Model

from tests.bookshop import BOOKS, BOOKSHOP, create_tables, describe_drift

CHANGES = {
    "type": (
        "ALTER TABLE {t} ALTER title TYPE text",
        "{t}.title: the database has text, the model character varying(200)",
    ),
    "length": (
        "ALTER TABLE {t} ALTER title TYPE varchar(100)",
        "{t}.title: the database has character varying(100), the model character varying(200)",
    ),
    "precision": (
        "ALTER TABLE {t} ALTER price TYPE numeric(12, 2)",
        "{t}.price: the database has numeric(12,2), the model numeric(10,2)",
    ),
    "precision of a time": (
        "ALTER TABLE {t} ALTER made TYPE timestamptz(3)",
        "{t}.made: the database has timestamp(3) with time zone, the model timestamp with",
    ),
    "time zone": (
        "ALTER TABLE {t} ALTER made TYPE timestamp",
        (
            "{t}.made: the database has timestamp without time zone, "
            "the model timestamp with time zone"
        ),
    ),
    "json for jsonb": (
        "DROP INDEX book_tags; ALTER TABLE {t} ALTER tags TYPE json",
        "{t}.tags: the database has json, the model jsonb",
    ),
    "dropped NOT NULL": (
        "ALTER TABLE {t} ALTER title DROP NOT NULL",
        "{t}.title: only the model has NOT NULL",
    ),
    "new NOT NULL": (
        "ALTER TABLE {t} ALTER tags SET NOT NULL",
        "{t}.tags: only the database has NOT NULL",
    ),
    "dropped default": (
        "ALTER TABLE {t} ALTER made DROP DEFAULT",
        "{t}.made: only the model has DEFAULT now()",
    ),
    "changed default": (
        "ALTER TABLE {t} ALTER stock SET DEFAULT 2",
        "{t}.stock: the database has DEFAULT 2, the model DEFAULT 1",
    ),
    "new default": (
        "ALTER TABLE {t} ALTER title SET DEFAULT ''",
        "{t}.title: only the database has DEFAULT ''::character varying",
    ),
    "collation": (
        'ALTER TABLE {t} ALTER shelf TYPE text COLLATE "POSIX"',
        '{t}.shelf: the database has COLLATE "POSIX", the model COLLATE "C"',
    ),
    "identity": (
        (
            'ALTER TABLE {t} ALTER id DROP DEFAULT; DROP SEQUENCE "Order Books_id_seq"; '
            "ALTER TABLE {t} ALTER id ADD GENERATED ALWAYS AS IDENTITY"
        ),
        "{t}.id: only the database has GENERATED ALWAYS AS IDENTITY",
    ),
    "generated": (
        (
            "ALTER TABLE {t} DROP stock; ALTER TABLE {t} ADD stock integer NOT NULL "
            "GENERATED ALWAYS AS (1) STORED; "
            "CREATE INDEX in_stock ON {t} (made) WHERE (stock > 0)"
        ),
        "{t}.stock: only the database has GENERATED ALWAYS AS (1) STORED",
    ),
    "dropped index": (
        "DROP INDEX in_stock",
        "{t}, index in_stock: only the model has this index",
    ),
    "index renamed": (
        "ALTER INDEX in_stock RENAME TO other",
        (
            "{t}, the same index under another name: the database has other, the model in_stock. "
            "Fix: ALTER INDEX other RENAME TO in_stock, or give the model this name with name="
        ),
    ),
    "PK renamed": (
        'ALTER TABLE {t} RENAME CONSTRAINT "Order Books_pkey" TO books_pkey',
        (
            "{t}, the same constraint under another name: the database has books_pkey, the model "
            '"Order Books_pkey". Fix: ALTER TABLE {t} RENAME CONSTRAINT books_pkey TO '
            '"Order Books_pkey", or'
        ),
    ),
    "new index": (
        "CREATE INDEX more ON {t} (price)",
        "{t}, index more: only the database has this index",
    ),
    "index method": (
        "DROP INDEX in_stock; CREATE INDEX in_stock ON {t} USING hash (made) WHERE stock > 0",
        "USING hash (made) WHERE stock > 0, the model CREATE INDEX in_stock",
    ),
    "index columns": (
        "DROP INDEX in_stock; CREATE INDEX in_stock ON {t} (price) WHERE stock > 0",
        "USING btree (price) WHERE stock > 0, the model CREATE INDEX in_stock",
    ),
    "index order": (
        "DROP INDEX in_stock; CREATE INDEX in_stock ON {t} (made DESC) WHERE stock > 0",
        "(made DESC) WHERE stock > 0, the model CREATE INDEX in_stock",
    ),
    "index predicate": (
        "DROP INDEX in_stock; CREATE INDEX in_stock ON {t} (made) WHERE stock > 1",
        "(made) WHERE stock > 1, the model CREATE INDEX in_stock",
    ),
    "dropped predicate of an index": (
        "DROP INDEX in_stock; CREATE INDEX in_stock ON {t} (made)",
        "(made), the model CREATE INDEX in_stock",
    ),
    "index expression": (
        "DROP INDEX lower_title; CREATE INDEX lower_title ON {t} (upper(title))",
        "(upper(title::text)), the model CREATE INDEX lower_title",
    ),
    "index uniqueness": (
        "DROP INDEX in_stock; CREATE UNIQUE INDEX in_stock ON {t} (made) WHERE stock > 0",
        "the database has CREATE UNIQUE INDEX in_stock",
    ),
    "index operator class": (
        "DROP INDEX book_tags; CREATE INDEX book_tags ON {t} USING gin (tags jsonb_path_ops)",
        "(tags jsonb_path_ops), the model CREATE INDEX book_tags",
    ),
    "index invalid": (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'in_stock'::regclass",
        "{t}, index in_stock: only the database has INVALID",
    ),
    "dropped unique index": (
        "DROP INDEX author_email",
        "authors, index author_email: only the model has this index",
    ),
    "dropped CHECK": (
        "ALTER TABLE {t} DROP CONSTRAINT price_is_positive",
        "{t}, constraint price_is_positive: only the model has this constraint",
    ),
    "changed CHECK": (
        (
            "ALTER TABLE {t} DROP CONSTRAINT price_is_positive, "
            "ADD CONSTRAINT price_is_positive CHECK (price > 0)"
        ),
        "the database has CHECK ((price > (0)::numeric)), the model CHECK ((price >= (0)",
    ),
    "CHECK not valid": (
        (
            "ALTER TABLE {t} DROP CONSTRAINT price_is_positive, "
            "ADD CONSTRAINT price_is_positive CHECK (price >= 0) NOT VALID"
        ),
        "the database has CHECK ((price >= (0)::numeric)) NOT VALID, the model",
    ),
    "new CHECK": (
        "ALTER TABLE {t} ADD CONSTRAINT stock_is_low CHECK (stock < 9)",
        "{t}, constraint stock_is_low: only the database has this constraint",
    ),
    "dropped FK": (
        'ALTER TABLE {t} DROP CONSTRAINT "Order Books_author_id_fkey"',
        '{t}, constraint "Order Books_author_id_fkey": only the model has this constraint',
    ),
    "FK action": (
        (
            'ALTER TABLE {t} DROP CONSTRAINT "Order Books_author_id_fkey", '
            "ADD FOREIGN KEY (author_id) REFERENCES authors (id)"
        ),
        (
            "REFERENCES authors(id), the model FOREIGN KEY (author_id) REFERENCES authors(id) "
            "ON DELETE CASCADE"
        ),
    ),
    "FK deferrable": (
        'ALTER TABLE {t} ALTER CONSTRAINT "Order Books_author_id_fkey" DEFERRABLE',
        "ON DELETE CASCADE DEFERRABLE, the model",
    ),
    "dropped PK": (
        'ALTER TABLE {t} DROP CONSTRAINT "Order Books_pkey"',
        '{t}, constraint "Order Books_pkey": only the model has this constraint',
    ),
    "PK of two columns": (
        'ALTER TABLE {t} DROP CONSTRAINT "Order Books_pkey", ADD PRIMARY KEY (id, title)',
        "the database has PRIMARY KEY (id, title), the model PRIMARY KEY (id)",
    ),
    "new column": (
        "ALTER TABLE {t} ADD more integer",
        "{t}.more: only the database has this column",
    ),
    "dropped column": (
        "ALTER TABLE {t} DROP shelf",
        "{t}.shelf: only the model has this column",
    ),
    "column renamed": (
        "ALTER TABLE {t} RENAME shelf TO place",
        "{t}.place: only the database has this column",
    ),
    "new table": ("CREATE TABLE more ()", "more: only the database has this table"),
    "dropped table": ("DROP TABLE {t}", "{t}: only the model has this table"),
    "storage": (
        "ALTER TABLE {t} RESET (fillfactor)",
        "{t}: only the model has WITH (fillfactor=70)",
    ),
    "toast storage": (
        "ALTER TABLE {t} SET (toast.autovacuum_enabled = false)",
        "{t}: only the database has TOAST WITH (autovacuum_enabled=false)",
    ),
    "storage of a constraint": (
        'ALTER INDEX "Order Books_pkey" SET (fillfactor = 60)',
        '{t}, constraint "Order Books_pkey": only the database has WITH (fillfactor=60)',
    ),
    "FK not enforced": (
        "ALTER TABLE {t} DISABLE TRIGGER ALL",
        '{t}, constraint "Order Books_author_id_fkey": only the database has DISABLED',
    ),
    "unlogged": ("ALTER TABLE {t} SET UNLOGGED", "{t}: only the database has UNLOGGED"),
    "sequence's owner": (
        'ALTER SEQUENCE "Order Books_id_seq" OWNED BY NONE',
        'sequence "Order Books_id_seq": only the model has OWNED BY "Order Books".id',
    ),
    "sequence's type": (
        'ALTER SEQUENCE "Order Books_id_seq" AS bigint',
        "the database has AS bigint START 1",
    ),
    "sequence's step": (
        'ALTER SEQUENCE "Order Books_id_seq" INCREMENT 5',
        "INCREMENT 5 MINVALUE",
    ),
}


@pytest.fixture(scope="module")
def bookshop(module_connection):
    """A connection to a database with the bookshop's tables."""
    create_tables(module_connection, *BOOKSHOP)
    assert describe_drift(module_connection) == []
    return module_connection


@pytest.fixture
def live(bookshop):
    """The same connection, in a transaction that is rolled back at the end of the test."""
    with bookshop.atomic() as transaction:
        yield bookshop
        transaction.rollback()


@pytest.mark.parametrize(("change", "sentence"), CHANGES.values(), ids=CHANGES)
def test_a_change_of_the_live_schema_is_a_difference(live, change, sentence):
    live.execute_sql(change.format(t=BOOKS))
    sentences = describe_drift(live)
    assert [line for line in sentences if sentence.format(t=BOOKS) in line], sentences


def test_one_change_is_one_difference(live):
    live.execute_sql(f"ALTER TABLE {BOOKS} ALTER stock SET DEFAULT 2")
    live.execute_sql("DROP TABLE authors CASCADE")
    assert describe_drift(live) == [
        f"{BOOKS}.stock: the database has DEFAULT 2, the model DEFAULT 1",
        f'{BOOKS}, constraint "Order Books_author_id_fkey": only the model has this constraint',
        "authors: only the model has this table",
    ]


def test_objects_that_a_model_cannot_declare_are_not_compared(live):
    for statement in (
        f"COMMENT ON TABLE {BOOKS} IS 'on shelves'",
        f"ALTER TABLE {BOOKS} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        f"ALTER TABLE {BOOKS} REPLICA IDENTITY FULL",
        "ALTER TABLE authors CLUSTER ON author_email",
        f"ALTER TABLE {BOOKS} ALTER title SET STORAGE EXTERNAL, ALTER title SET STATISTICS 500",
        f"ALTER TABLE {BOOKS} ALTER title SET (n_distinct = 5)",
        "ALTER INDEX lower_title ALTER 1 SET STATISTICS 500",
        "COMMENT ON INDEX authors_pkey IS 'unique'",
        "ALTER TABLE authors REPLICA IDENTITY USING INDEX author_email",
        f"CREATE VIEW cheap AS SELECT title FROM {BOOKS} WHERE price < 5",
        "CREATE TYPE mood AS ENUM ('good')",
        "CREATE SEQUENCE numbers",
        "CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE EXTENSION pg_stat_statements",
    ):
        live.execute_sql(statement)
    assert describe_drift(live) == []


def test_a_sequence_under_another_name_is_one_difference(live):
    live.execute_sql('ALTER SEQUENCE "Order Books_id_seq" RENAME TO book_id_seq')
    same = "the same sequence under another name: the database has"
    assert describe_drift(live) == [
        (
            f'{BOOKS}, {same} book_id_seq, the model "Order Books_id_seq". '
            'Fix: ALTER SEQUENCE book_id_seq RENAME TO "Order Books_id_seq"'
        )
    ]
    live.execute_sql("ALTER SEQUENCE book_id_seq INCREMENT 5")
    assert len(describe_drift(live)) == 3


def item_model(class_name):
    """A model of one table, with two indexes that Peewee names, and one that has a name."""
    meta = type("Meta", (), {"table_name": "items"})
    fields = {"sku": CharField(unique=True), "lot": CharField(index=True), "size": CharField()}
    model = type(class_name, (Model,), fields | {"Meta": meta})
    model.add_index(model.size, name="items_size")
    return model


def test_a_renamed_class_renames_the_indexes_that_have_no_name(live):
    create_tables(live, item_model("Item"))
    assert describe_drift(live, [*BOOKSHOP, item_model("Item")]) == []
    same = "items, the same index under another name: the database has"
    drift = describe_drift(live, [*BOOKSHOP, item_model("Product")])
    assert [line.partition(". Fix")[0] for line in drift] == [
        f"{same} item_lot, the model product_lot",
        f"{same} item_sku, the model product_sku",
    ]


def test_an_ignored_table_is_not_compared(live):
    live.execute_sql(f"ALTER TABLE {BOOKS} DROP stock; DROP TABLE authors CASCADE")
    live.execute_sql('CREATE TABLE "Not Ours" (id serial)')
    assert describe_drift(live, ignored={"Order Books", "authors", "Not Ours"}) == []


@pytest.mark.parametrize(
    ("changes", "ignored"),
    [
        ("CREATE TABLE audit_old (); CREATE TABLE audit_new ()", ["audit_*"]),
        ('CREATE TABLE "Audit Old" ()', ["Audit*"]),
        ("ALTER TABLE authors ADD legacy integer", ["authors.legacy"]),
        ("ALTER TABLE authors ADD old_a integer, ADD old_b integer", ["authors.old_*"]),
        ("ALTER TABLE authors ADD legacy integer", ["*.legacy"]),
        ("ALTER TABLE {t} ADD legacy integer; DROP INDEX in_stock", ["Order Books.*"]),
        ("CREATE INDEX more ON {t} (price)", ["Order Books.more"]),
        (
            (
                "ALTER TABLE {t} DROP CONSTRAINT price_is_positive, "
                "ADD CONSTRAINT price_is_positive CHECK (price >= 0) NOT VALID"
            ),
            ["Order Books.price_is_positive"],
        ),
        ('ALTER SEQUENCE "Order Books_id_seq" INCREMENT 5', ["Order Books_id_seq"]),
    ],
)
def test_an_ignored_name_may_be_a_pattern_or_a_part_of_a_table(live, changes, ignored):
    live.execute_sql(changes.format(t=BOOKS))
    assert describe_drift(live) != []
    assert describe_drift(live, ignored=ignored) == []


@pytest.mark.parametrize("ignored", ["*_old", "authors.*_old.*", "authors", "audit_?"])
def test_a_pattern_ignores_nothing_else(live, ignored):
    live.execute_sql(f"ALTER TABLE {BOOKS} ADD price_old integer; CREATE TABLE audit_new ()")
    assert describe_drift(live, ignored=[ignored]) == describe_drift(live)


def test_a_model_can_declare_a_constraint_as_not_valid_and_a_table_as_unlogged(live):
    class Draft(Model):
        number = IntegerField()

    Draft.add_index(SQL("ALTER TABLE draft SET UNLOGGED"))
    Draft.add_index(SQL("ALTER TABLE draft ADD CONSTRAINT low CHECK (number < 9) NOT VALID"))
    create_tables(live, Draft)
    assert describe_drift(live, [*BOOKSHOP, Draft]) == []
    live.execute_sql("ALTER TABLE draft VALIDATE CONSTRAINT low; ALTER TABLE draft SET LOGGED")
    assert describe_drift(live, [*BOOKSHOP, Draft]) == [
        "draft: only the model has UNLOGGED",
        (
            "draft, constraint low: the database has CHECK ((number < 9)), "
            "the model CHECK ((number < 9)) NOT VALID"
        ),
    ]


def test_a_partition_is_no_difference(live):
    class Event(Model):
        at = IntegerField()

        class Meta:
            primary_key = False
            table_settings = ("PARTITION BY RANGE (at)",)

    create_tables(live, Event)
    live.execute_sql("CREATE TABLE early PARTITION OF event FOR VALUES FROM (0) TO (10)")
    assert describe_drift(live, [*BOOKSHOP, Event]) == []


class Band(Model):
    """A table that refers to a model that is declared later."""

    leader = DeferredForeignKey("Musician", null=True)


class Musician(Model):
    """A table that refers to the first one."""

    band = ForeignKeyField(Band)


def test_a_deferred_foreign_key_is_compared(live):
    create_tables(live, Band, Musician)
    assert describe_drift(live, [*BOOKSHOP, Band, Musician]) == [
        "band, constraint fk_band_leader_id_refs_musician: only the model has this constraint"
    ]
    with live.bind_ctx([Band, Musician]):
        Band._schema.create_foreign_key(Band.leader)  # Peewee documents it
    assert describe_drift(live, [*BOOKSHOP, Band, Musician]) == []
    assert describe_drift(live, [*BOOKSHOP, Band], ["musician"]) == []


def test_a_table_that_the_callers_transaction_has_locked_is_compared(live):
    live.execute_sql(f"LOCK TABLE {BOOKS}")
    live.execute_sql(f"ALTER TABLE {BOOKS} ALTER stock SET DEFAULT 2")
    assert describe_drift(live) == [
        f"{BOOKS}.stock: the database has DEFAULT 2, the model DEFAULT 1"
    ]
