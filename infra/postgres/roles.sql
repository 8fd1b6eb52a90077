-- The roles of the services, for databases whose owner may not create roles (managed ones). `millrace migrate` makes them by itself elsewhere.
--
-- 1. An administrator runs this once, before the first `millrace migrate`, with passwords of your own and the user of DATABASE_URL as owner:
--      psql ADMIN_URL -v owner=… -v gateway_password=… -v catalog_password=… -v embedding_password=… -v search_password=… -v events_password=… -v recs_password=… -v ut360_password=… -v pos_password=… -f roles.sql
-- 2. Set GATEWAY_DATABASE_URL, CATALOG_API_DATABASE_URL, EMBEDDING_WORKER_DATABASE_URL, ES_SYNC_WORKER_DATABASE_URL, EVENT_INGEST_DATABASE_URL, RECOMMENDER_DATABASE_URL, UT360_LOOKUP_DATABASE_URL and POS_DATABASE_URL.
-- 3. `millrace migrate`, as the owner: it makes the schemas and gives each role its rights, now and after every upgrade.
--
-- Each role may read and write its own schema and nothing else. The owner is a member of each, because partitioned tables belong to their service.

\set ON_ERROR_STOP on
begin;
revoke create on schema public from public;

-- gateway: API keys, audit
create role millrace_gateway login nosuperuser nocreatedb nocreaterole connection limit 60 password :'gateway_password';
alter role millrace_gateway set search_path = gateway, pg_catalog;
grant millrace_gateway to :"owner";

-- catalog-api: merchants, products, outbox
create role millrace_catalog login nosuperuser nocreatedb nocreaterole connection limit 60 password :'catalog_password';
alter role millrace_catalog set search_path = catalog, pg_catalog;
grant millrace_catalog to :"owner";

-- embedding-worker: fits of the model
create role millrace_embedding login nosuperuser nocreatedb nocreaterole connection limit 60 password :'embedding_password';
alter role millrace_embedding set search_path = embedding, pg_catalog;
grant millrace_embedding to :"owner";

-- es-sync-worker: sweeps
create role millrace_search login nosuperuser nocreatedb nocreaterole connection limit 60 password :'search_password';
alter role millrace_search set search_path = search, pg_catalog;
grant millrace_search to :"owner";

-- event-ingest: users, items, interactions
create role millrace_events login nosuperuser nocreatedb nocreaterole connection limit 60 password :'events_password';
alter role millrace_events set search_path = events, pg_catalog;
grant millrace_events to :"owner";

-- recommender: served lists
create role millrace_recs login nosuperuser nocreatedb nocreaterole connection limit 60 password :'recs_password';
alter role millrace_recs set search_path = recs, pg_catalog;
grant millrace_recs to :"owner";

-- ut360-lookup: generations of subscribers; loads make and drop their tables as this role
create role millrace_ut360 login nosuperuser nocreatedb nocreaterole connection limit 60 password :'ut360_password';
alter role millrace_ut360 set search_path = ut360, pg_catalog;
grant millrace_ut360 to :"owner";

-- pos: links to products of the point of sale, runs, notifications
create role millrace_pos login nosuperuser nocreatedb nocreaterole connection limit 60 password :'pos_password';
alter role millrace_pos set search_path = pos, pg_catalog;
grant millrace_pos to :"owner";
commit;
