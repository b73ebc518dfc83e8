"""The models serve the library: a session through SessionStore, an event through AuditTrail."""

import pytest
from dbfoundation import AuditTrail, SessionStore
from dbfoundation.runtime.models import get_meta
from dbfoundation.runtime.sessions import COLUMNS

from models import MODELS

SESSION_MODELS = [model for model in MODELS if get_meta(model).columns.keys() >= COLUMNS]
AUDIT_MODELS = [model for model in MODELS if issubclass(model, AuditTrail)]

pytestmark = pytest.mark.usefixtures("db")


@pytest.mark.skipif(not SESSION_MODELS, reason="this project has no model of sessions")
def test_a_session_is_stored_read_and_destroyed():
    for model in SESSION_MODELS:
        store = SessionStore(model)
        sid = store.new_id()
        store.set(sid, {"user_id": "42"})
        assert store.get(sid) == {"user_id": "42"}
        assert store.destroy(sid)
        assert store.get(sid) is None


@pytest.mark.skipif(not AUDIT_MODELS, reason="this project has no model of an audit trail")
def test_an_event_is_recorded_with_its_time_and_without_secrets():
    for model in AUDIT_MODELS:
        details = {"password": "secret", "tags": ["a", None]}
        row = model.record("user.login", entity=("user", 42), details=details)
        assert row.timestamp is not None
        assert row.details["tags"] == ["a", None]
        assert "secret" not in str(row.details)
        assert model.for_entity(("user", 42)) == [row]
