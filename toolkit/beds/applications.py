"""The applications whose schemas are test beds: how each is installed and creates its tables.

Each is a release of a major version from PyPI, and creates its schema through its own migrations.
In files, commands and variables, `$url` and its parts ($host, $port, $name, $user, $password) are
the database's, `$folder` is the bed's own folder.
"""

from __future__ import annotations

from dataclasses import dataclass, field

DJANGO = """
SECRET_KEY = "a test bed"
USE_TZ = True
STATIC_URL = "/static/"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": "$name", "HOST": "$host",
        "PORT": "$port", "USER": "$user", "PASSWORD": "$password",
    }
}
CONTRIB = ["admin", "auth", "contenttypes", "sessions", "messages", "staticfiles"]
INSTALLED_APPS = [f"django.contrib.{app}" for app in CONTRIB]
"""
WAGTAIL = (
    DJANGO
    + """
CONTRIB = ["forms", "redirects", "search_promotions", "settings", "simple_translation"]
APPS = ["embeds", "sites", "users", "snippets", "documents", "images", "search", "admin", "locales"]
INSTALLED_APPS += [f"wagtail.contrib.{app}" for app in CONTRIB]
INSTALLED_APPS += [f"wagtail.{app}" for app in APPS]
INSTALLED_APPS += ["wagtail", "modelcluster", "taggit", "django.contrib.postgres"]
WAGTAILADMIN_BASE_URL = "http://localhost"
"""
)
OSCAR = (
    "from oscar.defaults import *\n"
    + DJANGO
    + """
SITE_ID = 1
APPS = {
    "analytics": "Analytics", "checkout": "Checkout", "address": "Address", "shipping": "Shipping",
    "catalogue": "Catalogue", "catalogue.reviews": "CatalogueReviews", "partner": "Partner",
    "communication": "Communication", "basket": "Basket", "payment": "Payment", "offer": "Offer",
    "order": "Order", "customer": "Customer", "search": "Search", "voucher": "Voucher",
    "wishlists": "Wishlists", "dashboard": "Dashboard",
}
PAGES = [
    "reports", "users", "orders", "catalogue", "offers", "partners", "pages", "ranges", "reviews",
    "vouchers", "communications", "shipping",
]
INSTALLED_APPS += ["django.contrib.sites", "django.contrib.flatpages", "oscar.config.Shop"]
INSTALLED_APPS += [f"oscar.apps.{app}.apps.{name}Config" for app, name in APPS.items()]
INSTALLED_APPS += [
    f"oscar.apps.dashboard.{app}.apps.{app.title()}DashboardConfig" for app in PAGES
]
INSTALLED_APPS += ["haystack", "treebeard", "sorl.thumbnail", "django_tables2"]
HAYSTACK_CONNECTIONS = {"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}}
"""
)
PRETIX = """
[pretix]
url=http://localhost
datadir=$folder/data
[database]
backend=postgresql
name=$name
user=$user
password=$password
host=$host
port=$port
"""
INDICO = """
SQLALCHEMY_DATABASE_URI = "$url"
SECRET_KEY = b"the key of a test bed, which is long enough"
BASE_URL = "http://localhost"
REDIS_CACHE_URL = CELERY_BROKER = "redis://127.0.0.1:1/0"
STORAGE_BACKENDS = {"default": "fs:$folder/data"}
ATTACHMENT_STORAGE = "default"
CACHE_DIR = TEMP_DIR = LOG_DIR = "$folder/data"
"""
KINTO = """
[app:main]
use = egg:kinto
kinto.storage_backend = kinto.core.storage.postgresql
kinto.storage_url = $url
kinto.cache_backend = kinto.core.cache.postgresql
kinto.cache_url = $url
kinto.permission_backend = kinto.core.permission.postgresql
kinto.permission_url = $url
"""
PROCRASTINATE = """
import procrastinate

app = procrastinate.App(connector=procrastinate.PsycopgConnector())
"""
DAGSTER = """
storage:
  postgres:
    postgres_url: postgresql+psycopg2://$user:$password@$host:$port/$name
"""
TRYTON = """
[database]
uri = postgresql://$user:$password@$host:$port/
"""


@dataclass(frozen=True)
class Application:
    """An application, its requirements and the command that creates its schema.

    The command's program is in the bed's virtual environment. `is_quick` allows a test run to
    migrate on a second version of the server.
    """

    name: str
    requirements: tuple[str, ...]
    command: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    extensions: tuple[str, ...] = ()
    is_quick: bool = False


# The quickest are first: the others are installed meanwhile.
APPLICATIONS = (
    Application(
        "procrastinate",  # one SQL file: enums, functions, triggers, types
        ("procrastinate>=3,<4", "psycopg[binary]"),
        ("procrastinate", "--app", "procrastinate_app.app", "schema", "--apply"),
        files={"procrastinate_app.py": PROCRASTINATE},
        is_quick=True,
    ),
    Application(
        "pgqueuer",  # SQL: enums, UNLOGGED or logged tables, statistics of a queue
        ("pgqueuer[asyncpg,cli]>=0.20,<2",),
        ("pgq", "install"),
        is_quick=True,
    ),
    Application(
        "kinto",  # SQL files: functions, triggers, collations, JSONB
        ("kinto[postgresql]>=24,<27",),
        ("kinto", "migrate", "--ini", "kinto.ini"),
        files={"kinto.ini": KINTO},
        is_quick=True,
    ),
    Application(
        "mlflow",  # Alembic: CHECKs with IN, keys of several columns
        ("mlflow-skinny>=3,<4", "sqlalchemy", "alembic", "psycopg2-binary"),
        ("mlflow", "db", "upgrade", "postgresql+psycopg2://$user:$password@$host:$port/$name"),
        is_quick=True,
    ),
    Application(
        "dagster",  # Alembic: three stores in one database
        ("dagster>=1,<2", "dagster-postgres", "psycopg2-binary"),
        ("dagster", "instance", "migrate"),
        files={"dagster.yaml": DAGSTER},
        environment={"DAGSTER_HOME": "$folder"},
        is_quick=True,
    ),
    Application(
        "oscar",  # Django: nested applications
        ("django-oscar>=4,<5", "django-haystack>=3.3,<4", "sorl-thumbnail", "psycopg2-binary"),
        ("django-admin", "migrate", "--skip-checks"),
        files={"oscar_settings.py": OSCAR},
        environment={"DJANGO_SETTINGS_MODULE": "oscar_settings"},
    ),
    Application(
        "wagtail",  # Django
        ("wagtail>=7,<9", "psycopg2-binary"),
        ("django-admin", "migrate", "--skip-checks"),
        files={"wagtail_settings.py": WAGTAIL},
        environment={"DJANGO_SETTINGS_MODULE": "wagtail_settings"},
    ),
    Application(
        "prefect",  # Alembic: triggers, enums, GIN and partial indexes
        ("prefect>=3,<4",),
        ("prefect", "server", "database", "upgrade", "-y"),
        environment={
            "PREFECT_HOME": "$folder/data",
            "PREFECT_API_DATABASE_CONNECTION_URL": (
                "postgresql+asyncpg://$user:$password@$host:$port/$name"
            ),
        },
    ),
    Application(
        "tryton",  # an ORM of its own: partial and expression indexes, constraints with names
        ("trytond>=8,<9", "trytond_product>=8,<9", "trytond_party>=8,<9", "psycopg[binary,pool]"),
        (
            *("trytond-admin", "-c", "trytond.conf", "-d", "$name", "--email", "a@localhost"),
            *("-u", "ir", "res", "party", "product", "--activate-dependencies"),
        ),
        files={"trytond.conf": TRYTON, "password": "$password"},
        environment={"TRYTONPASSFILE": "$folder/password"},
    ),
    Application(
        "pretix",  # Django: ten years of migrations
        ("pretix>=2026,<2027",),
        ("python", "-m", "pretix", "migrate", "--skip-checks"),
        files={"pretix.cfg": PRETIX},
        environment={"PRETIX_CONFIG_FILE": "$folder/pretix.cfg"},
    ),
    Application(
        "indico",  # SQLAlchemy: schemas, exclusion constraints, functions, text search
        ("indico>=3.2,<3.3",),
        ("indico", "db", "prepare"),
        files={"indico.conf": INDICO},
        environment={"INDICO_CONFIG": "$folder/indico.conf"},
        extensions=("pg_trgm", "unaccent"),
    ),
)
