-- The roles of the services, as `millrace migrate` makes them. Only for databases whose owner may not create roles (managed
-- ones): an administrator runs this once, after the first `millrace migrate` made the schemas, with passwords of your own;
-- then set GATEWAY_DATABASE_URL, CATALOG_API_DATABASE_URL, EMBEDDING_WORKER_DATABASE_URL and ES_SYNC_WORKER_DATABASE_URL.
--
--   psql "$DATABASE_URL" -v gateway_password=… -v catalog_password=… -v embedding_password=… -v search_password=… -f roles.sql
--
-- Each role may read and write its own schema, and nothing else: no other service's tables, no DDL, nothing in public.

\set ON_ERROR_STOP on
begin;

revoke create on schema public from public;

-- gateway: API keys, audit
create role millrace_gateway login nosuperuser nocreatedb nocreaterole connection limit 60 password :'gateway_password';
revoke all on schema gateway from public;
grant usage on schema gateway to millrace_gateway;
grant select, insert, update, delete, truncate on all tables in schema gateway to millrace_gateway;
grant usage, select, update on all sequences in schema gateway to millrace_gateway;
grant execute on all functions in schema gateway to millrace_gateway;
alter role millrace_gateway set search_path = gateway, pg_catalog;

-- catalog-api: merchants, products, outbox
create role millrace_catalog login nosuperuser nocreatedb nocreaterole connection limit 60 password :'catalog_password';
revoke all on schema catalog from public;
grant usage on schema catalog to millrace_catalog;
grant select, insert, update, delete, truncate on all tables in schema catalog to millrace_catalog;
grant usage, select, update on all sequences in schema catalog to millrace_catalog;
grant execute on all functions in schema catalog to millrace_catalog;
alter role millrace_catalog set search_path = catalog, pg_catalog;

-- embedding-worker
create role millrace_embedding login nosuperuser nocreatedb nocreaterole connection limit 60 password :'embedding_password';
revoke all on schema embedding from public;
grant usage on schema embedding to millrace_embedding;
grant select, insert, update, delete, truncate on all tables in schema embedding to millrace_embedding;
grant usage, select, update on all sequences in schema embedding to millrace_embedding;
grant execute on all functions in schema embedding to millrace_embedding;
alter role millrace_embedding set search_path = embedding, pg_catalog;

-- es-sync-worker
create role millrace_search login nosuperuser nocreatedb nocreaterole connection limit 60 password :'search_password';
revoke all on schema search from public;
grant usage on schema search to millrace_search;
grant select, insert, update, delete, truncate on all tables in schema search to millrace_search;
grant usage, select, update on all sequences in schema search to millrace_search;
grant execute on all functions in schema search to millrace_search;
alter role millrace_search set search_path = search, pg_catalog;

commit;
