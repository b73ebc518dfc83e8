"""Generated sets of models: three tables at most, with fields, keys, checks and indexes."""

from hypothesis import strategies as st
from peewee import (
    SQL,
    AutoField,
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CharField,
    Check,
    DateField,
    DateTimeField,
    DecimalField,
    DoubleField,
    ForeignKeyField,
    IdentityField,
    IntegerField,
    Model,
    ModelIndex,
    SmallIntegerField,
    TextField,
    UUIDField,
)
from playhouse.postgres_ext import ArrayField, BinaryJSONField, DateTimeTZField

TABLES = ("alphas", "Beta Rows", "gammas")
COLUMNS = ("name", "size", "Made On", "data", "mood")
FIELDS = [
    *(lambda length=length, **o: CharField(max_length=length, **o) for length in (10, 200)),
    TextField,
    IntegerField,
    BigIntegerField,
    SmallIntegerField,
    BooleanField,
    DoubleField,
    DateField,
    DateTimeField,
    DateTimeTZField,
    UUIDField,
    *(lambda size=size, **o: DecimalField(*size, **o) for size in ((10, 2), (12, 4))),
    lambda **o: BinaryJSONField(index=False, **o),
    lambda **o: ArrayField(IntegerField, index=False, **o),
]
COMPARABLE = FIELDS[:13]  # those with a btree operator class
DEFAULTS = {IntegerField: "1", TextField: "'it''s 100%'", BooleanField: "true"}
KEYS = [AutoField, BigAutoField, IdentityField, lambda: IntegerField(primary_key=True)]
DELETIONS = (None, "CASCADE", "SET NULL")


@st.composite
def fields(draw, column):
    """A field and whether an index can have it."""
    make = draw(st.sampled_from(FIELDS))
    options = {"null": draw(st.booleans()), "column_name": column}
    if make in DEFAULTS and draw(st.booleans()):
        options["constraints"] = [SQL(f"DEFAULT {DEFAULTS[make]}".replace("%", "%%"))]
    if make is TextField and draw(st.booleans()):
        options["collation"] = '"C"'
    if make in COMPARABLE:
        options |= draw(st.sampled_from([{}, {}, {"index": True}, {"unique": True}]))
    return make(**options), make in COMPARABLE


@st.composite
def model_sets(draw):
    """Model classes, each after those that it refers to, except a deferred circle."""
    models = []
    for table in draw(st.lists(st.sampled_from(TABLES), min_size=1, max_size=3, unique=True)):
        columns = draw(st.lists(st.sampled_from(COLUMNS), max_size=4, unique=True))
        drawn = {column: draw(fields(column)) for column in columns}
        names = {column: f"f{number}" for number, column in enumerate(columns)}
        body = {names[column]: field for column, (field, _) in drawn.items()}
        body["id"] = draw(st.sampled_from(KEYS))()
        for number, other in enumerate(models):
            if draw(st.booleans()):
                action = draw(st.sampled_from(DELETIONS))
                key = ForeignKeyField(other, null=True, on_delete=action, backref=None)
                body[f"other{number}"] = key
        checks = []
        if draw(st.booleans()):
            checks = [Check(f"id > {draw(st.integers(-2, 0))}", name="id_is_large")]
        meta = type(
            "Meta", (), {"table_name": table, "constraints": checks, "legacy_table_names": False}
        )
        name = table.replace(" ", "")
        model = type(name, (Model,), body | {"Meta": meta, "__module__": __name__})
        indexed = [names[column] for column, (_, is_comparable) in drawn.items() if is_comparable]
        if len(indexed) > 1 and draw(st.booleans()):
            chosen = [getattr(model, attribute) for attribute in indexed[:2]]
            unique = draw(st.booleans())
            index = ModelIndex(model, chosen, unique=unique, name=f"{name.lower()}_both")
            model.add_index(index)
        models.append(model)
    return models
