import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { erasingServices, userErasures, userStores } from '../src/index.ts';
import { topics } from '../src/topics.ts';

const root = join(import.meta.dirname, '../../..');
const read = (pattern: string): string => globSync(pattern, { cwd: root }).map((file) => readFileSync(join(root, file), 'utf8')).join('\n');
const apps = globSync('apps/*/package.json', { cwd: root }).map((file) => file.split('/')[1] ?? '');

/** Tables of a service that have a column with a user's id, by its migrations. */
function userTables(app: string): readonly string[] {
  const tables = [...read(`apps/${app}/src/migrations/*.ts`).matchAll(/create table (\w+\.\w+) \(([^`]*)`/g)];
  return tables.flatMap(([, table, columns]) => (/\b(user_id|users?|alias) text/.test(columns ?? '') ? [table ?? ''] : []));
}

describe('stores with data of users', () => {
  it('are stated for every service, also where there are none', () => {
    expect(Object.keys(userStores).toSorted()).toEqual(apps.toSorted());
    for (const { erasedBy, stores, because } of Object.values(userStores)) expect([stores.length > 0, because !== undefined]).toEqual(erasedBy === 'none' ? [false, true] : [true, false]);
  });
  it.each(apps)('of %s name every table that has a column for a user', (app) => {
    // events.erasures holds names while its job runs.
    expect(userStores[app]?.stores).toEqual(expect.arrayContaining(userTables(app).filter((table) => table !== 'events.erasures')));
  });
  it.each(erasingServices)('of %s are erased by a handler of users:erasures that answers with a receipt', (app) => {
    const source = read(`apps/${app}/src/**/*.ts`);
    expect(source).toMatch(/\.subscribe\(userErasures, \{ group: /);
    expect(source).toMatch(/\.publish\(erasureReceipts, /);
    expect(topics.find(({ topic }) => topic === userErasures)?.consumers.map(({ service }) => service)).toContain(app);
    for (const store of userStores[app]?.stores ?? []) expect(source).toContain(store.split('.').at(-1));
  });
  it.each(Object.entries(userStores).filter(([, { erasedBy }]) => erasedBy === 'job'))('of %s are erased by the job itself', (app, { stores }) => {
    const source = read(`apps/${app}/src/eras*.ts`);
    for (const store of stores) expect(source).toMatch(new RegExp(`store: ('${store}'|\\w+\\.name)`));
  });
});
