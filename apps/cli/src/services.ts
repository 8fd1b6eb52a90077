/** The services with a Postgres schema of their own: folder, variable of their URL, role and schema. */
export const services = [
  { app: 'gateway', variable: 'GATEWAY_DATABASE_URL', role: 'millrace_gateway', schema: 'gateway' },
  { app: 'catalog-api', variable: 'CATALOG_API_DATABASE_URL', role: 'millrace_catalog', schema: 'catalog' },
  { app: 'embedding-worker', variable: 'EMBEDDING_WORKER_DATABASE_URL', role: 'millrace_embedding', schema: 'embedding' },
  { app: 'es-sync-worker', variable: 'ES_SYNC_WORKER_DATABASE_URL', role: 'millrace_search', schema: 'search' },
] as const;
/** Everything that signs internal calls. */
export const identities = services.map((service) => service.app);
