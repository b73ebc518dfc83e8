"""The development data are inserted once, however often and in however many threads."""

from concurrent.futures import ThreadPoolExecutor

from models import MODELS
from seeds import seed


def count_rows():
    return [model.select().count() for model in MODELS]


def test_seeding_twice_inserts_each_row_once(db):
    with db.connection_context():
        first, rows = seed(), count_rows()
        second = seed()
        assert count_rows() == rows
    assert (second.inserted, second.unchanged) == (0, first.inserted + first.unchanged)


def test_seeding_in_parallel_inserts_each_row_once(committing_db):
    with committing_db.connection_context(), committing_db.atomic() as transaction:
        expected = seed().inserted
        transaction.rollback()
    with ThreadPoolExecutor(4) as threads:
        seeded = list(threads.map(lambda _: committing_db.connection_context()(seed)(), range(4)))
    assert sum(each.inserted for each in seeded) == expected
