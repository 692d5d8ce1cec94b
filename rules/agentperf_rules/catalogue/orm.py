"""Object-relational mappers: what runs a statement, and what only builds one."""

from __future__ import annotations

from agentperf_rules.catalogue.family import Family

orm = Family("orm", "high", loop=True, batch="one query with an IN condition or a join")

# -- SQLAlchemy -------------------------------------------------------------------------------------

ASYNC_SESSION = "sqlalchemy.ext.asyncio.AsyncSession"
IN = "one select with .in_(ids), or a relationship loaded eagerly"
ADD_ALL = "session.add_all() and one commit, or one insert() with a list of rows"
SESSION, ASESSION = "sqlalchemy.orm.Session", "sqlalchemy.ext.asyncio.AsyncSession"
QUERY, RESULT, SCALARS = "sqlalchemy.orm.Query", "sqlalchemy.Result", "sqlalchemy.ScalarResult"
CONNECTION, ACONNECTION = "sqlalchemy.Connection", "sqlalchemy.ext.asyncio.AsyncConnection"
SESSION_READS = "execute scalar scalars get get_one"

orm.calls(SESSION, f"{SESSION_READS} refresh", use=ASYNC_SESSION, batch=IN)
orm.calls(SESSION, "commit flush merge", use=ASYNC_SESSION, batch=ADD_ALL, write=True)
orm.calls(SESSION, "bulk_save_objects bulk_insert_mappings bulk_update_mappings connection", use=ASYNC_SESSION, loop=False)
orm.calls(SESSION, "rollback", use=ASYNC_SESSION, loop=False, severity="medium")
orm.awaited(ASESSION, f"{SESSION_READS} refresh stream stream_scalars", batch=IN)
orm.awaited(ASESSION, "commit flush merge", batch=ADD_ALL, write=True)
orm.gives(f"{SESSION}.get {SESSION}.get_one {ASESSION}.get {ASESSION}.get_one", "elem", "arg0")
orm.gives(f"{SESSION}.merge {ASESSION}.merge", "elem", "arg0")
orm.gives(f"{SESSION}.scalar {ASESSION}.scalar", "elem", "arg0")
orm.gives(f"{SESSION}.execute {ASESSION}.execute {ASESSION}.stream", RESULT, "arg0")
orm.gives(f"{SESSION}.scalars {ASESSION}.scalars {ASESSION}.stream_scalars", SCALARS, "arg0")
orm.gives(f"{SESSION}.connection", CONNECTION)
orm.gives(f"{ASESSION}.connection", ACONNECTION)
orm.gives(f"{ASESSION}.sync_session", SESSION)
orm.async_context(f"{ASESSION} {ACONNECTION} sqlalchemy.ext.asyncio.AsyncEngine.begin() sqlalchemy.ext.asyncio.AsyncEngine.connect()")

# Sessions from factories
for factory, session in (
    ("sqlalchemy.orm.sessionmaker", SESSION),
    ("sqlalchemy.orm.scoped_session", SESSION),
    ("sqlalchemy.ext.asyncio.async_sessionmaker", ASESSION),
    ("sqlalchemy.ext.asyncio.async_scoped_session", ASESSION),
):
    orm.gives(f"{factory}.__call__ {factory}.begin", session)
    orm.subclass(f"{factory}()", factory)
orm.subclass("sqlalchemy.orm.scoped_session", SESSION)
orm.subclass("sqlalchemy.ext.asyncio.async_scoped_session", ASESSION)
orm.gives("sqlalchemy.orm.Session.begin sqlalchemy.orm.Session.begin_nested", "sqlalchemy.orm.SessionTransaction")
orm.gives("sqlalchemy.orm.create_session sqlalchemy.orm.object_session", SESSION)
orm.gives("sqlalchemy.ext.asyncio.async_object_session", ASESSION)
orm.subclass("sqlmodel.Session", SESSION)
orm.subclass("sqlmodel.ext.asyncio.session.AsyncSession", ASESSION)
orm.calls("sqlmodel.Session", "exec", use="sqlmodel.ext.asyncio.session.AsyncSession", batch=IN)
orm.awaited("sqlmodel.ext.asyncio.session.AsyncSession", "exec", batch=IN)
orm.gives("sqlmodel.Session.exec sqlmodel.ext.asyncio.session.AsyncSession.exec", SCALARS, "arg0")
orm.subclass("flask_sqlalchemy.session.Session flask_sqlalchemy.SignallingSession", SESSION)
orm.gives("flask_sqlalchemy.SQLAlchemy.session", SESSION)
orm.gives("flask_sqlalchemy.SQLAlchemy.engine flask_sqlalchemy.SQLAlchemy.get_engine", "sqlalchemy.Engine")
orm.alias("flask_sqlalchemy.SQLAlchemy", "flask_sqlalchemy.extension.SQLAlchemy")

# Query
ENDS = "all first one one_or_none scalar count get"
orm.gives(f"{SESSION}.query", QUERY, "arg0")
BUILDS = (
    "filter filter_by where join outerjoin select_from options order_by group_by having limit offset distinct with_for_update execution_options"
    " populate_existing yield_per enable_eagerloads union union_all with_entities add_columns add_entity prefix_with from_self correlate"
    " slice autoflush params reset_joinpoint join_from"
)
orm.methods_give(QUERY, BUILDS, "self")
orm.calls(QUERY, ENDS, use=ASYNC_SESSION, batch=IN)
orm.calls(QUERY, "update delete", use=ASYNC_SESSION, batch="one statement with .in_(ids)", write=True)
orm.iterating(QUERY, use=ASYNC_SESSION, batch=IN)
orm.methods_give(QUERY, "first one one_or_none get", "elem")
orm.methods_give(QUERY, "all", "builtins.list", "self")

# Statements and results
STATEMENT = "sqlalchemy.Select"
orm.gives("sqlalchemy.select sqlmodel.select", STATEMENT, "arg0")
orm.gives("sqlalchemy.update sqlalchemy.delete sqlalchemy.insert", "sqlalchemy.Update", "arg0")
orm.methods_give(
    STATEMENT,
    "where filter filter_by join outerjoin join_from select_from options order_by group_by having limit offset distinct with_for_update"
    " execution_options correlate add_columns prefix_with union union_all",
    "self",
)
orm.methods_give("sqlalchemy.Update", "where values returning execution_options on_conflict_do_nothing on_conflict_do_update", "self")
orm.methods_give(RESULT, "scalars", SCALARS, "self")
orm.methods_give(f"{RESULT} {SCALARS}", "unique execution_options yield_per", "self")
orm.methods_give(f"{RESULT} {SCALARS}", "scalar scalar_one scalar_one_or_none", "elem")
orm.methods_give(SCALARS, "first one one_or_none", "elem")
orm.methods_give(SCALARS, "all fetchall", "builtins.list", "self")
orm.alias(
    "sqlalchemy",
    "sqlalchemy.future sqlalchemy.sql sqlalchemy.sql.expression sqlalchemy.sql.selectable sqlalchemy.engine sqlalchemy.engine.base"
    " sqlalchemy.engine.result",
)
orm.alias(
    "sqlalchemy.orm",
    "sqlalchemy.orm.session sqlalchemy.orm.query sqlalchemy.orm.scoping sqlalchemy.orm.decl_api sqlalchemy.orm.relationships",
)
orm.alias(
    "sqlalchemy.ext.asyncio",
    "sqlalchemy.ext.asyncio.session sqlalchemy.ext.asyncio.engine sqlalchemy.ext.asyncio.scoping",
)

# Core
core = Family("database", "high", loop=True, batch="one statement with .in_(ids), or execute() with a list of rows")
ENGINE, AENGINE = "sqlalchemy.Engine", "sqlalchemy.ext.asyncio.AsyncEngine"
ASYNC_ENGINE = "sqlalchemy.ext.asyncio.create_async_engine()"
core.gives("sqlalchemy.create_engine sqlalchemy.engine_from_config sqlmodel.create_engine", ENGINE)
core.gives("sqlalchemy.ext.asyncio.create_async_engine sqlalchemy.ext.asyncio.async_engine_from_config", AENGINE)
core.calls(ENGINE, "connect begin raw_connection", use=ASYNC_ENGINE, loop=False)
core.calls(ENGINE, "execute scalar", use=ASYNC_ENGINE)
core.gives(f"{ENGINE}.connect {ENGINE}.begin {CONNECTION}.begin {CONNECTION}.execution_options", CONNECTION)
core.gives(f"{AENGINE}.connect {AENGINE}.begin", ACONNECTION)
core.gives(f"{CONNECTION}.execute {CONNECTION}.exec_driver_sql {ENGINE}.execute {ACONNECTION}.execute {ACONNECTION}.exec_driver_sql", RESULT, "arg0")
core.gives(f"{CONNECTION}.scalars {ACONNECTION}.scalars", SCALARS, "arg0")
core.calls(CONNECTION, "execute scalar scalars exec_driver_sql", use=ASYNC_ENGINE)
core.calls(CONNECTION, "commit", use=ASYNC_ENGINE, loop=False)
core.calls(CONNECTION, "rollback", use=ASYNC_ENGINE, loop=False, severity="medium")
core.awaited(ACONNECTION, "execute scalar scalars exec_driver_sql stream")
core.calls("sqlalchemy.MetaData", "create_all drop_all reflect", use="AsyncConnection.run_sync()", loop=False)
# inspect() of a row asks nobody, of an engine it connects; what the latter gives is asked next.
INSPECTOR = "sqlalchemy.inspect()"
core.calls(
    INSPECTOR,
    "has_table has_schema has_sequence get_table_names get_view_names get_schema_names get_columns get_indexes get_foreign_keys"
    " get_pk_constraint get_unique_constraints get_check_constraints",
    use="AsyncConnection.run_sync()",
    loop=False,
)
core.gives(f"{INSPECTOR}.session", "sqlalchemy.orm.Session")
core.alias("sqlalchemy.MetaData", "sqlalchemy.schema.MetaData sqlalchemy.sql.schema.MetaData")
core.gives("alembic.op.get_bind", CONNECTION)
core.calls("alembic.op", "execute")
core.calls("alembic.command", "upgrade downgrade current stamp revision", loop=False)

# -- Django -----------------------------------------------------------------------------------------

MANAGER, QUERYSET, MODEL = "django.db.models.Manager", "django.db.models.QuerySet", "django.db.models.Model"
ID_IN = "one queryset with id__in, select_related() or prefetch_related()"
BULK_CREATE = "bulk_create() or bulk_update()"
DJANGO_BUILDS = (
    "filter exclude all order_by select_related prefetch_related annotate alias values values_list distinct reverse defer only using"
    " union intersection difference select_for_update extra none dates datetimes raw complex_filter"
)
DJANGO_READS = "get first last count exists aggregate earliest latest contains in_bulk explain"
DJANGO_WRITES = "create get_or_create update_or_create update delete"
DJANGO_BULK = "bulk_create bulk_update iterator"
for owner in (MANAGER, QUERYSET):
    for name in DJANGO_READS.split():
        orm.calls(owner, name, use=f"await ....a{name}()", batch=ID_IN)
        orm.awaited(owner, f"a{name}", batch=ID_IN)
    for name in DJANGO_WRITES.split():
        orm.calls(owner, name, use=f"await ....a{name}()", batch=BULK_CREATE, write=True)
        orm.awaited(owner, f"a{name}", batch=BULK_CREATE, write=True)
    for name in DJANGO_BULK.split():
        orm.calls(owner, name, use=f"await ....a{name}()", loop=False)
orm.methods_give(f"{MANAGER} {QUERYSET}", DJANGO_BUILDS, QUERYSET, "self")
orm.methods_give(f"{MANAGER} {QUERYSET}", "iterator aiterator", "builtins.list", "self")
orm.methods_give(
    f"{MANAGER} {QUERYSET}", "get first last earliest latest create aget afirst alast aearliest alatest acreate", "elem"
)
orm.methods_give(MANAGER, "get_queryset db_manager", QUERYSET, "self")
orm.iterating(QUERYSET, use="async for", batch=ID_IN)
for name in ("save", "delete", "refresh_from_db"):
    write = name != "refresh_from_db"
    orm.calls(MODEL, name, use=f"await ....a{name}()", batch=BULK_CREATE if write else ID_IN, write=write)
for name in ("asave", "adelete"):
    orm.awaited(MODEL, name, batch=BULK_CREATE, write=True)
orm.awaited(MODEL, "arefresh_from_db", batch=ID_IN)
orm.subclass("django.db.models.BaseManager", MANAGER)
orm.alias("django.db.models", "django.db.models.manager django.db.models.query django.db.models.base")
orm.subclass("django.contrib.gis.db.models.Model", MODEL)
orm.subclass(
    "django.contrib.auth.models.AbstractUser django.contrib.auth.models.AbstractBaseUser django.contrib.auth.models.User"
    " django.contrib.auth.models.Group django.contrib.auth.models.Permission django.contrib.contenttypes.models.ContentType"
    " django.contrib.sites.models.Site django.contrib.sessions.models.Session mptt.models.MPTTModel polymorphic.models.PolymorphicModel"
    " model_utils.models.TimeStampedModel django_extensions.db.models.TimeStampedModel wagtail.models.Page",
    MODEL,
)
orm.subclass("polymorphic.managers.PolymorphicManager django.contrib.auth.models.UserManager", MANAGER)
for model in ("django.contrib.auth.models.User", "django.contrib.auth.models.Group", "django.contrib.contenttypes.models.ContentType", "django.contrib.auth.models.Permission"):
    orm.gives(f"{model}.objects {model}._default_manager", MANAGER)
orm.calls("django.shortcuts", "get_object_or_404", use="aget_object_or_404()", batch=ID_IN, since="5.0")
orm.calls("django.shortcuts", "get_list_or_404", use="aget_list_or_404()", batch=ID_IN, since="5.0")
orm.awaited("django.shortcuts", "aget_object_or_404 aget_list_or_404", batch=ID_IN)
orm.gives("django.shortcuts.get_object_or_404 django.shortcuts.aget_object_or_404", "elem", "arg0")
orm.calls("django.contrib.auth", "authenticate", use="aauthenticate()", since="5.0", loop=False)
orm.calls("django.contrib.auth", "login logout", use="alogin() or alogout()", since="5.0", loop=False)
DJANGO_CURSOR = "django.db.backends.utils.CursorWrapper"
core.gives("django.db.connection.cursor django.db.connections.[].cursor", DJANGO_CURSOR)
core.calls(DJANGO_CURSOR, "execute callproc", use="sync_to_async()")
core.calls(DJANGO_CURSOR, "executemany", use="sync_to_async()", loop=False)
core.calls(DJANGO_CURSOR, "fetchone fetchall fetchmany", use="sync_to_async()", loop=False, severity="medium")

# -- Peewee -----------------------------------------------------------------------------------------

PEEWEE, PEEWEE_QUERY = "peewee.Model", "peewee.ModelSelect"
PEEWEE_IN = "one select with .in_(ids), join() or prefetch()"
PEEWEE_ASYNC = "peewee-async"
orm.calls(PEEWEE, "get get_or_none get_by_id", use=PEEWEE_ASYNC, batch=PEEWEE_IN)
orm.calls(PEEWEE, "create get_or_create save delete_instance set_by_id delete_by_id", use=PEEWEE_ASYNC, batch="insert_many()", write=True)
orm.calls(PEEWEE, "bulk_create bulk_update create_table drop_table table_exists", use=PEEWEE_ASYNC, loop=False)
orm.gives(f"{PEEWEE}.select", PEEWEE_QUERY, "self")
orm.gives(f"{PEEWEE}.insert {PEEWEE}.update {PEEWEE}.delete {PEEWEE}.replace {PEEWEE}.insert_many", "peewee.ModelInsert")
orm.methods_give("peewee.ModelInsert", "where on_conflict on_conflict_ignore returning", "self")
orm.calls("peewee.ModelInsert", "execute", use=PEEWEE_ASYNC, batch="insert_many()", write=True)
orm.methods_give(PEEWEE_QUERY, "where join order_by limit offset group_by having distinct switch paginate tuples dicts namedtuples objects", "self")
orm.calls(PEEWEE_QUERY, "get first get_or_none count exists scalar execute", use=PEEWEE_ASYNC, batch=PEEWEE_IN)
orm.iterating(PEEWEE_QUERY, use=PEEWEE_ASYNC, batch=PEEWEE_IN)
core.calls("peewee.Database", "execute_sql", use=PEEWEE_ASYNC)
core.calls("peewee.Database", "connect create_tables drop_tables", use=PEEWEE_ASYNC, loop=False)
core.subclass(
    "peewee.SqliteDatabase peewee.PostgresqlDatabase peewee.MySQLDatabase playhouse.pool.PooledPostgresqlDatabase playhouse.pool.PooledMySQLDatabase"
    " playhouse.pool.PooledSqliteDatabase playhouse.postgres_ext.PostgresqlExtDatabase playhouse.sqlite_ext.SqliteExtDatabase",
    "peewee.Database",
)

# -- PonyORM, MongoEngine, others that block ----------------------------------------------------------

orm.calls("mongoengine.Document", "save delete reload modify update", use="beanie or motor", batch="insert() with a list", write=True)
orm.gives("mongoengine.Document.objects", "mongoengine.QuerySet", "self")
orm.calls("mongoengine.QuerySet", "get first count update update_one modify upsert_one", use="beanie or motor")
orm.methods_give("mongoengine.QuerySet", "filter order_by limit skip only exclude", "self")
orm.iterating("mongoengine.QuerySet", use="beanie or motor")
orm.alias("mongoengine.QuerySet", "mongoengine.queryset.QuerySet")
orm.subclass("mongoengine.DynamicDocument", "mongoengine.Document")

# -- awaited mappers ----------------------------------------------------------------------------------

TORTOISE, TORTOISE_QUERY = "tortoise.models.Model", "tortoise.queryset.QuerySet"
orm.awaited(TORTOISE, "get get_or_none first exists fetch_related refresh_from_db", batch="one query with id__in, or prefetch_related()")
orm.awaited(TORTOISE, "create save delete get_or_create update_or_create", batch="bulk_create()", write=True)
orm.awaited(TORTOISE_QUERY, "first get get_or_none count exists update delete", batch="one query with id__in, or prefetch_related()")
orm.gives(f"{TORTOISE}.filter {TORTOISE}.all {TORTOISE}.exclude {TORTOISE}.annotate", TORTOISE_QUERY, "self")
orm.methods_give(TORTOISE_QUERY, "filter exclude order_by limit offset all prefetch_related select_related annotate only distinct", "self")
orm.alias("tortoise.models", "tortoise.contrib.pydantic.models")
orm.alias(TORTOISE, "tortoise.Model")
orm.awaited("piccolo.table.Table", "save remove refresh get_related")
orm.awaited("beanie.Document", "get find_one insert save replace delete create update sync upsert fetch_all_links", batch="insert_many() or one find(In(...))")
orm.alias("beanie.Document", "beanie.odm.documents.Document")
orm.awaited("ormar.Model", "save update delete load upsert")
orm.awaited("ormar.queryset.QuerySet", "get first get_or_none count exists create update delete get_or_create update_or_create")
orm.gives("ormar.Model.objects", "ormar.queryset.QuerySet", "self")
orm.awaited("odmantic.AIOEngine", "find_one find save delete count")
orm.awaited("gino.Gino gino.engine.GinoEngine", "first all scalar status one one_or_none")
orm.below("prisma.Prisma", "find_unique find_first find_many find_unique_or_raise find_first_or_raise count query_raw query_first group_by", blocking=False, batch="find_many() with an `in` filter")
orm.below("prisma.Prisma", "create update upsert delete update_many delete_many execute_raw", blocking=False, batch="create_many() or update_many()", write=True)
orm.gives("prisma.Prisma.batch_", "prisma.Batch")
orm.alias("prisma.Prisma", "prisma.client.Prisma prisma.Client")
orm.awaited("edgedb.AsyncIOClient gel.AsyncIOClient", "query query_single query_required_single execute query_json")
orm.gives("edgedb.create_async_client", "edgedb.AsyncIOClient")
