export * from './errors.ts';
export * from './in-transaction.ts';
export * from './kysely.ts';
export * from './migrator.ts';
export * from './open-database.ts';
export * from './pool.ts';
export * from './roles.ts';
