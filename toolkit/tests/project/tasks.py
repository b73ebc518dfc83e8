"""The tasks of the tests' project."""

from dbfoundation.tasks import ns

ns.configure({"dbfoundation": {"models": "models:MODELS", "seeds": "seeds:seed"}})
