"""The models beside the live schema: every change is found and told, and nothing else is."""

from dataclasses import replace
from uuid import uuid4

import pytest
from peewee import (
    SQL,
    AutoField,
    CharField,
    Check,
    DecimalField,
    DeferredForeignKey,
    ForeignKeyField,
    IntegerField,
    Model,
    OperationalError,
    TextField,
)
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from models import MODELS
from tests.conftest import execute
from toolkit.database import dedicated
from toolkit.drift import drift
from toolkit.errors import AccessDeniedError, DatabaseError
from toolkit.history import TABLE


class Author(Model):
    """A table for others to point at."""

    email = CharField(max_length=100, unique=True)
    name = TextField(default="")

    class Meta:
        table_name = "authors"


class Book(Model):
    """A table with one of everything."""

    id = AutoField()
    author = ForeignKeyField(Author, on_delete="CASCADE")
    title = CharField(max_length=200)
    price = DecimalField(10, 2, constraints=[Check("price >= 0", name="price_is_positive")])
    stock = IntegerField(constraints=[SQL("DEFAULT 1")])
    made = DateTimeTZField(constraints=[SQL("DEFAULT now()")])
    tags = BinaryJSONField(null=True)
    shelf = TextField(null=True, collation='"C"')

    class Meta:
        table_name = "Order Books"
        table_settings = ("WITH (fillfactor=70)",)
        indexes = ((("title", "price"), True),)


Book.add_index(Book.made, name="in_stock", where=(Book.stock > 0))
Book.add_index(SQL('CREATE INDEX lower_title ON "Order Books" (lower(title))'))
OWN = [Author, Book]
BOOKS = '"Order Books"'

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
    "NOT NULL dropped": (
        "ALTER TABLE {t} ALTER title DROP NOT NULL",
        "{t}.title: only the model has NOT NULL",
    ),
    "NOT NULL added": (
        "ALTER TABLE {t} ALTER tags SET NOT NULL",
        "{t}.tags: only the database has NOT NULL",
    ),
    "default dropped": (
        "ALTER TABLE {t} ALTER made DROP DEFAULT",
        "{t}.made: only the model has DEFAULT now()",
    ),
    "default changed": (
        "ALTER TABLE {t} ALTER stock SET DEFAULT 2",
        "{t}.stock: the database has DEFAULT 2, the model DEFAULT 1",
    ),
    "default added": (
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
    "index gone": (
        "DROP INDEX in_stock",
        "{t}, index in_stock: only the model has this index",
    ),
    "index renamed": (
        "ALTER INDEX in_stock RENAME TO other",
        "{t}, index other: only the database has this index",
    ),
    "index more": (
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
    "index predicate gone": (
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
    "unique gone": (
        "DROP INDEX author_email",
        "authors, index author_email: only the model has this index",
    ),
    "CHECK gone": (
        "ALTER TABLE {t} DROP CONSTRAINT price_is_positive",
        "{t}, constraint price_is_positive: only the model has this constraint",
    ),
    "CHECK changed": (
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
    "CHECK more": (
        "ALTER TABLE {t} ADD CONSTRAINT stock_is_low CHECK (stock < 9)",
        "{t}, constraint stock_is_low: only the database has this constraint",
    ),
    "FK gone": (
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
    "PK gone": (
        'ALTER TABLE {t} DROP CONSTRAINT "Order Books_pkey"',
        '{t}, constraint "Order Books_pkey": only the model has this constraint',
    ),
    "PK of more": (
        'ALTER TABLE {t} DROP CONSTRAINT "Order Books_pkey", ADD PRIMARY KEY (id, title)',
        "the database has PRIMARY KEY (id, title), the model PRIMARY KEY (id)",
    ),
    "column more": (
        "ALTER TABLE {t} ADD more integer",
        "{t}.more: only the database has this column",
    ),
    "column gone": (
        "ALTER TABLE {t} DROP shelf",
        "{t}.shelf: only the model has this column",
    ),
    "column renamed": (
        "ALTER TABLE {t} RENAME shelf TO place",
        "{t}.place: only the database has this column",
    ),
    "table more": ("CREATE TABLE more ()", "more: only the database has this table"),
    "table gone": ("DROP TABLE {t}", "{t}: only the model has this table"),
    "storage": (
        "ALTER TABLE {t} RESET (fillfactor)",
        "{t}: only the model has WITH (fillfactor=70)",
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


def said(db, models=OWN, ignored=()):
    return [
        difference.said("the database", "the model") for difference in drift(db, models, ignored)
    ]


@pytest.fixture
def live(db):
    with db.bind_ctx(OWN):
        db.create_tables(OWN)
    return db


@pytest.mark.parametrize(("change", "sentence"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_found_and_told(live, change, sentence):
    assert said(live) == []
    live.execute_sql(change.format(t=BOOKS))
    assert [line for line in said(live) if sentence.format(t=BOOKS) in line], said(live)


def test_one_change_is_one_line(live):
    live.execute_sql(f"ALTER TABLE {BOOKS} ALTER stock SET DEFAULT 2")
    live.execute_sql("DROP TABLE authors CASCADE")
    assert said(live) == [
        f"{BOOKS}.stock: the database has DEFAULT 2, the model DEFAULT 1",
        f'{BOOKS}, constraint "Order Books_author_id_fkey": only the model has this constraint',
        "authors: only the model has this table",
    ]


def test_what_models_cannot_declare_is_no_difference(live):
    for statement in (
        f"COMMENT ON TABLE {BOOKS} IS 'on shelves'",
        f"ALTER TABLE {BOOKS} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        f"ALTER TABLE {BOOKS} REPLICA IDENTITY FULL",
        "ALTER TABLE authors REPLICA IDENTITY USING INDEX author_email",
        f"CREATE VIEW cheap AS SELECT title FROM {BOOKS} WHERE price < 5",
        "CREATE TYPE mood AS ENUM ('good')",
        "CREATE SEQUENCE numbers",
        "CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE EXTENSION pg_stat_statements",
    ):
        live.execute_sql(statement)
    assert said(live) == []


def test_the_migrations_make_what_the_models_say(migrated):
    assert said(migrated, MODELS, {TABLE}) == []
    assert said(migrated, MODELS) == [f"{TABLE}: only the database has this table"]


def test_an_ignored_table_is_left_out_whoever_has_it(live):
    live.execute_sql(f"ALTER TABLE {BOOKS} DROP stock; DROP TABLE authors CASCADE")
    live.execute_sql('CREATE TABLE "Not Ours" (id serial)')
    assert said(live, ignored={"Order Books", "authors", "Not Ours"}) == []


def everything(settings):
    """What there is in the catalogs that a schema or a table leaves traces in."""
    query = "SELECT count(*) FROM pg_namespace UNION ALL SELECT count(*) FROM pg_class"
    return execute(settings, query)


def test_nothing_is_left_behind_and_nothing_is_touched(live, settings):
    before = everything(settings)
    other = dedicated(settings, "other")
    live.execute_sql("SET lock_timeout = '1s'")
    with other.connection_context(), other.atomic():
        other.execute_sql(f"LOCK TABLE {BOOKS}, authors IN EXCLUSIVE MODE")
        assert said(live) == []
    assert everything(settings) == before
    assert live.execute_sql("SHOW search_path").fetchone() == ('"$user", public',)


def test_models_that_the_server_does_not_take_are_an_error_and_leave_nothing(live, settings):
    class Odd(Model):
        number = IntegerField(constraints=[SQL("DEFAULT 'one'::no_such_type")])

    before = everything(settings)
    with pytest.raises(DatabaseError, match="no_such_type"):
        drift(live, [Odd], ())
    assert everything(settings) == before


# Schemas, search paths and roles


def test_a_search_path_with_another_schema_first_does_not_hide_the_tables(live):
    live.execute_sql("CREATE SCHEMA mine; SET search_path = mine, public")
    assert said(live) == []
    live.execute_sql("CREATE TABLE public.of_others (id integer)")
    assert said(live) == ["of_others: only the database has this table"]
    live.execute_sql("CREATE TABLE mine.more (id integer)")
    assert said(live, ignored=["of_others"]) == ["more: only the database has this table"]
    live.execute_sql("CREATE TABLE mine.authors (id integer)")
    assert "authors.email: only the model has this column" in said(live)


def test_an_empty_schema_named_like_the_user_hides_no_table(live):
    live.execute_sql("CREATE TABLE more (id integer)")
    live.execute_sql("CREATE SCHEMA AUTHORIZATION CURRENT_USER")
    assert said(live) == ["more: only the database has this table"]


def test_objects_that_shadow_the_servers_own_do_not_fool_it(live):
    live.execute_sql("CREATE SCHEMA evil; CREATE TABLE evil.pg_class (oid oid, relname name)")
    live.execute_sql(
        "CREATE FUNCTION evil.format_type(oid, integer) RETURNS text LANGUAGE sql AS "
        "$$SELECT 'anything'$$"
    )
    live.execute_sql("SET search_path = evil, pg_catalog, public")
    live.execute_sql(f"ALTER TABLE public.{BOOKS} ALTER title TYPE text")
    assert f"{BOOKS}.title: the database has text, the model character varying(200)" in said(live)


def test_tables_of_another_schema_by_the_search_path(db):
    db.execute_sql('CREATE SCHEMA "My App"; SET search_path = "My App"')
    with db.bind_ctx(OWN):
        db.create_tables(OWN)
    assert said(db) == []
    db.execute_sql(f"ALTER TABLE {BOOKS} DROP stock; CREATE TABLE public.of_others (id integer)")
    assert f"{BOOKS}.stock: only the model has this column" in said(db)


def test_a_function_that_fits_an_argument_better_does_not_fool_it(live):
    for name, result in (
        ("quote_ident(name)", "SELECT 'x'"),
        ("pg_get_expr(pg_node_tree, integer)", "SELECT 'x'"),
    ):
        live.execute_sql(f"CREATE FUNCTION public.{name} RETURNS text LANGUAGE sql AS $${result}$$")
    live.execute_sql(
        "CREATE FUNCTION glued(regclass, text) RETURNS text LANGUAGE sql AS $$SELECT 'x'$$; "
        "CREATE OPERATOR || (FUNCTION = glued, LEFTARG = regclass, RIGHTARG = text)"
    )
    live.execute_sql(f"ALTER TABLE {BOOKS} ALTER stock SET DEFAULT 2, ADD more integer")
    assert said(live) == [
        f"{BOOKS}.more: only the database has this column",
        f"{BOOKS}.stock: the database has DEFAULT 2, the model DEFAULT 1",
    ]


class Customer(Model):
    """A table of a schema of its own."""

    id = IntegerField(primary_key=True, sequence="customer_numbers")
    name = TextField(index=True)
    favourite = ForeignKeyField(Book)

    class Meta:
        schema = "shop"
        table_name = "customers"


Customer.add_index(Customer.name, Customer.favourite, name="by_both")


class Namesake(Model):
    """A table of the same name in the session's schema."""

    number = IntegerField(null=True)

    class Meta:
        table_name = "customers"


@pytest.fixture
def schemas(live):
    live.execute_sql("CREATE SCHEMA shop")
    with live.bind_ctx([Customer, Namesake]):
        live.create_tables([Customer, Namesake])
    return live


ALL = [*OWN, Customer, Namesake]
CUSTOMERS = "shop.customers"


def test_a_model_may_name_its_schema_and_have_a_namesake_elsewhere(schemas, settings):
    before = everything(settings)
    other = dedicated(settings, "other")
    schemas.execute_sql("SET lock_timeout = '1s'")
    with other.connection_context(), other.atomic():
        other.execute_sql(f"LOCK TABLE {CUSTOMERS}, public.customers IN EXCLUSIVE MODE")
        assert said(schemas, ALL) == []
    assert everything(settings) == before
    assert Customer._meta.schema == "shop"
    assert Customer._meta.indexes[0]._table is Customer._meta.table


def test_a_session_or_a_database_that_quotes_every_name_does_not_fool_it(schemas, settings):
    schemas.execute_sql("SET quote_all_identifiers = on")
    assert said(schemas, ALL) == []
    assert schemas.execute_sql("SHOW quote_all_identifiers").fetchone() == ("on",)
    execute(settings, f'ALTER DATABASE "{settings.url.name}" SET quote_all_identifiers = on')
    other = dedicated(settings, "other")
    with other.connection_context():
        assert said(other, ALL) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (f"ALTER TABLE {CUSTOMERS} DROP favourite_id", f"{CUSTOMERS}.favourite_id: only the model"),
        ("ALTER TABLE public.customers DROP number", "customers.number: only the model has this"),
        ("DROP INDEX shop.by_both", f"{CUSTOMERS}, index by_both: only the model has this index"),
        ("DROP INDEX shop.customer_name", f"{CUSTOMERS}, index customer_name: only the model"),
        ("CREATE TABLE shop.more ()", "shop.more: only the database has this table"),
        (
            f"ALTER TABLE {CUSTOMERS} SET SCHEMA other",
            f"{CUSTOMERS}: only the model has this table",
        ),
        ("DROP SCHEMA shop CASCADE", f"{CUSTOMERS}: only the model has this table"),
        ("ALTER SEQUENCE shop.customer_numbers INCREMENT 7", "customer_numbers: the database"),
    ],
)
def test_a_change_in_a_schema_of_its_own_is_found(schemas, change, sentence):
    schemas.execute_sql("CREATE SCHEMA other")
    schemas.execute_sql(change)
    assert [line for line in said(schemas, ALL) if sentence in line], said(schemas, ALL)


def test_a_partition_goes_with_its_table(db):
    class Event(Model):
        at = IntegerField()

        class Meta:
            primary_key = False
            table_settings = ("PARTITION BY RANGE (at)",)

    with db.bind_ctx([Event]):
        db.create_tables([Event])
    db.execute_sql("CREATE TABLE early PARTITION OF event FOR VALUES FROM (0) TO (10)")
    assert said(db, [Event]) == []


class Parcel(Model):
    """A table whose definitions a dump writes otherwise."""

    owner = ForeignKeyField(Author, field="email")
    state = CharField(
        unique=True, constraints=[Check("state IN ('new', 'sent')", name="state_is_known")]
    )
    note = TextField(constraints=[Check("note NOT LIKE '%%\"%%'", name="note_is_plain")])


Parcel.add_index(Parcel.note, name="open_ones", where=SQL("state IN ('new', 'sent')"))
DEFINITIONS = """
SELECT pg_get_constraintdef(c.oid), pg_get_indexdef('open_ones'::regclass)
FROM pg_constraint c WHERE conname = 'state_is_known'
"""


def test_a_database_that_was_restored_from_a_dump_is_no_difference(live):
    with live.bind_ctx([Parcel]):
        live.create_tables([Parcel])
    assert said(live, [*OWN, Parcel]) == []
    before = live.execute_sql(DEFINITIONS).fetchone()
    live.execute_sql("ALTER TABLE parcel DROP CONSTRAINT state_is_known; DROP INDEX open_ones")
    live.execute_sql(f"ALTER TABLE parcel ADD CONSTRAINT state_is_known {before[0]}; {before[1]}")
    assert live.execute_sql(DEFINITIONS).fetchone() != before
    assert said(live, [*OWN, Parcel]) == []
    live.execute_sql(
        "ALTER TABLE parcel DROP CONSTRAINT state_is_known, "
        "ADD CONSTRAINT state_is_known CHECK (state IN ('new', 'lost')); DROP INDEX open_ones"
    )
    told = said(live, [*OWN, Parcel])
    assert len(told) == 2
    assert "'lost'::character varying])::text[]))), the model CHECK" in told[0]
    assert told[1] == "parcel, index open_ones: only the model has this index"


def test_a_lone_percent_sign_in_a_model_is_told(db):
    class Odd(Model):
        name = TextField(constraints=[Check("name LIKE 'a%'")])

    with pytest.raises(DatabaseError, match="the driver does not take the models"):
        drift(db, [Odd], ())


@pytest.fixture
def stranger(settings):
    """Settings of a role that owns nothing and may nothing; it goes with its rights."""
    name = f"stranger_{uuid4().hex[:8]}"
    password = settings.url.password
    execute(settings, f"CREATE ROLE {name} LOGIN PASSWORD %s", password)
    yield replace(settings, url=replace(settings.url, user=name))
    execute(settings, f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_a_role_that_owns_no_table_needs_no_more_than_create(live, settings, stranger):
    live.execute_sql(f"ALTER TABLE {BOOKS} ALTER stock SET DEFAULT 2")
    visitor = dedicated(stranger, "check")
    with visitor.connection_context():
        with pytest.raises(AccessDeniedError, match="GRANT CREATE ON DATABASE"):
            drift(visitor, OWN, ())
        execute(settings, f'GRANT CREATE ON DATABASE "{settings.url.name}" TO {stranger.url.user}')
        assert said(visitor) == [f"{BOOKS}.stock: the database has DEFAULT 2, the model DEFAULT 1"]


class Review(Model):
    """A table that refers to others' tables, and those to more."""

    book = ForeignKeyField(Book)
    customer = ForeignKeyField(Customer)


@pytest.mark.usefixtures("schemas")
def test_a_role_that_may_not_refer_to_a_table_needs_no_more_than_create(settings, stranger):
    execute(settings, f'GRANT CREATE ON DATABASE "{settings.url.name}" TO {stranger.url.user}')
    visitor = dedicated(stranger, "check")
    with visitor.connection_context():
        assert "review: only the model has this table" in said(visitor, [Review])


def test_a_table_that_is_referred_to_is_not_waited_for(schemas, settings):
    with schemas.bind_ctx([Review]):
        schemas.create_tables([Review])
    others = {"authors", "Order Books", "customers"}
    other = dedicated(settings, "other")
    schemas.execute_sql("SET lock_timeout = '1s'")
    with other.connection_context(), other.atomic():
        other.execute_sql("INSERT INTO authors (email, name) VALUES ('a', 'a')")
        other.execute_sql(f"LOCK TABLE {BOOKS}, {CUSTOMERS} IN ROW EXCLUSIVE MODE")
        assert said(schemas, [Review], others) == []
    schemas.execute_sql(
        "ALTER TABLE review DROP CONSTRAINT review_customer_id_fkey, "
        "ADD FOREIGN KEY (customer_id) REFERENCES authors (id)"
    )
    assert said(schemas, [Review], others) == [
        (
            "review, constraint review_customer_id_fkey: the database has "
            "FOREIGN KEY (customer_id) REFERENCES authors(id), "
            f"the model FOREIGN KEY (customer_id) REFERENCES {CUSTOMERS}(id)"
        )
    ]


class Band(Model):
    """A table that refers to one whose model comes later."""

    leader = DeferredForeignKey("Musician", null=True)


class Musician(Model):
    """A table that refers to the one that refers to it."""

    band = ForeignKeyField(Band)


def test_a_deferred_foreign_key_is_compared(db):
    with db.bind_ctx([Band, Musician]):
        db.create_tables([Band, Musician])
        assert said(db, [Band, Musician]) == [
            "band, constraint fk_band_leader_id_refs_musician: only the model has this constraint"
        ]
        Band._schema.create_foreign_key(Band.leader)
    assert said(db, [Band, Musician]) == []
    assert said(db, [Band], ["musician"]) == []


class Low(Model):
    """A table with an index that names its schema."""

    name = TextField()


Low.add_index(SQL("CREATE INDEX low_name ON public.low (lower(name))"))


class Pointer(Model):
    """A table with a foreign key that names a schema."""

    author = IntegerField(constraints=[SQL("REFERENCES public.authors (id)")])


@pytest.mark.parametrize(
    ("model", "statement", "reason"),
    [
        (Low, "CREATE TABLE low (name text)", "reach for what is there already: public.low\n"),
        (
            Low,
            "CREATE TABLE low (name text); CREATE INDEX low_name ON low (lower(name))",
            'relation "low_name" already exists\n',
        ),
        (Pointer, "SELECT 1", "reach for what is there already: authors\n"),
    ],
)
def test_sql_that_reaches_for_a_live_table_is_told(live, settings, model, statement, reason):
    live.execute_sql(statement)
    before = everything(settings)
    with pytest.raises(DatabaseError, match=f"{reason}.*Meta.schema"):
        drift(live, [model], ())
    assert everything(settings) == before


def test_what_the_callers_transaction_has_locked_is_not_the_models_doing(live):
    with live.atomic():
        live.execute_sql(f"ALTER TABLE {BOOKS} ALTER stock SET DEFAULT 2")
        assert said(live) == [f"{BOOKS}.stock: the database has DEFAULT 2, the model DEFAULT 1"]


def test_it_waits_for_a_lock_no_longer_than_a_migration_does(live, settings):
    visitor = dedicated(replace(settings, migrate_lock_timeout_seconds=1), "check")
    with live.atomic(), visitor.connection_context():
        live.execute_sql(f"LOCK TABLE {BOOKS}")
        with pytest.raises(OperationalError, match="lock timeout"):
            drift(visitor, OWN, ())
