"""Every task explains itself."""

from tasks import ns


def test_every_task_has_a_help_text():
    assert [name for name in ns.task_names if not ns[name].__doc__] == []
