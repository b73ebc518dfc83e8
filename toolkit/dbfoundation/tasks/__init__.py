"""The invoke tasks of a project.

Its tasks.py takes them in two lines:

    from dbfoundation.tasks import ns

    ns.configure({"dbfoundation": {"models": "models:MODELS", "seeds": "seeds:seed"}})

`models` names the list of the models. `seeds` names the function that inserts the development data
and returns a Seeded. Both are `module:attribute` strings, which a task imports when it needs them.
The project's root is the folder of its tasks.py, with `.env`, `migrations/` and
`docker-compose.yml`. `ns.add_task()` adds a task of the project's own.
"""

import sys

# invoke turns bytecode off, and every task would compile the library again.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)

from invoke.collection import Collection  # noqa: E402 # only modules after the line above are kept

from dbfoundation.tasks import data, databases, migrations, models, proofs, stamping  # noqa: E402 # the same

ns = Collection(
    databases.db_up,
    databases.db_down,
    databases.db_reset,
    databases.db_shell,
    databases.db_schema,
    migrations.migrate_up,
    migrations.migrate_down,
    migrations.migrate_redo,
    migrations.migrate_create,
    migrations.migrate_status,
    migrations.migrate_accept,
    stamping.migrate_stamp,
    migrations.migrate_check,
    proofs.migrate_verify,
    models.models_from_database,
    data.seed,
    data.sessions_prune,
)
ns.configure({"dbfoundation": {"models": "models:MODELS", "seeds": "seeds:seed"}})
