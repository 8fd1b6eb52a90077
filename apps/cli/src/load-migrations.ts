import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { SchemaMigrations } from '@millrace/database';

const isMigrations = (value: unknown): value is SchemaMigrations => typeof value === 'object' && value !== null && 'schema' in value && 'migrations' in value;

/** Loads a service's migrations: from its sources, or from the bundle beside this file in an image. */
export async function loadMigrations(app: string): Promise<SchemaMigrations> {
  const bundled = join(import.meta.dirname, 'migrations', `${app}.js`);
  const file = existsSync(bundled) ? bundled : join(import.meta.dirname, '..', '..', app, 'src', 'migrations', 'index.ts');
  const loaded: unknown = await import(file);
  const migrations: unknown = typeof loaded === 'object' && loaded !== null && 'migrations' in loaded ? loaded.migrations : undefined;
  if (!isMigrations(migrations)) throw new Error(`${app} has no migrations`);
  return migrations;
}
