import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import * as contracts from '../../libs/contracts/src/index.ts';
import { root } from '../local/paths.ts';

const IMPORT = /^import \{([^}]*)\} from '@millrace\/contracts';$/gm;
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const sources = globSync('apps/*/src/**/*.ts', { cwd: root }).map((file) => ({ app: file.split('/')[1] ?? '', imports: [...read(file).matchAll(IMPORT)].flatMap((match) => (match[1] ?? '').split(',').map((name) => name.trim())) }));
const exportNameOf = new Map(Object.entries(contracts).map(([name, value]: [string, unknown]) => [value, name]));
const catalogue = contracts.topics.map((contract) => [contract.topic.name, contract] as const);

describe('the catalogue of topics', () => {
  it.each(catalogue)('names every app that writes or reads %s, and no other', (_name, { topic, producers, consumers }) => {
    const users = new Set(sources.filter(({ imports }) => imports.includes(exportNameOf.get(topic) ?? 'no export')).map(({ app }) => app));
    expect([...users].toSorted()).toEqual([...new Set([...producers, ...consumers.map(({ service }) => service)])].toSorted());
  });
  it.each(catalogue)('agrees on %s with the READMEs of those apps', (name, { producers, consumers }) => {
    const row = (app: string, what: string): string => new RegExp(`^\\| ${what} \\|(.*)$`, 'm').exec(read(`apps/${app}/README.md`))?.[1] ?? '';
    for (const app of producers) expect(row(app, 'produces')).toContain(`\`${name}\``);
    for (const { service, group } of consumers) expect(row(service, 'consumes')).toContain(`\`${name}\`${group === undefined ? '' : `, group \`${group}\``}`);
  });
});
