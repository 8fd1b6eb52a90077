/** The services with a Postgres schema of their own: folder, variable of their URL, and schema. */
export const services = [
  { app: 'gateway', variable: 'GATEWAY_DATABASE_URL', schema: 'gateway' },
  { app: 'catalog-api', variable: 'CATALOG_API_DATABASE_URL', schema: 'catalog' },
  { app: 'embedding-worker', variable: 'EMBEDDING_WORKER_DATABASE_URL', schema: 'embedding' },
  { app: 'es-sync-worker', variable: 'ES_SYNC_WORKER_DATABASE_URL', schema: 'search' },
  { app: 'event-ingest', variable: 'EVENT_INGEST_DATABASE_URL', schema: 'events' },
  { app: 'recommender', variable: 'RECOMMENDER_DATABASE_URL', schema: 'recs' },
  { app: 'ut360-lookup', variable: 'UT360_LOOKUP_DATABASE_URL', schema: 'ut360' },
  { app: 'pos', variable: 'POS_DATABASE_URL', schema: 'pos' },
] as const;
/** Everything that signs internal calls. */
export const identities: readonly string[] = [...services.map((service) => service.app), 'mcp'];

const DEFAULT_DATABASES = new Set(['postgres', 'millrace']);

/** Roles belong to the whole server: an installation in a database of another name has roles of its own. */
export const roleOf = (schema: string, database: string): string => `${DEFAULT_DATABASES.has(database) ? 'millrace' : database}_${schema}`;
