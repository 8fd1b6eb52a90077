import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { findLockProblems } from '../lock-check.ts';

describe('the lock check', () => {
  let dir = '';
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'millrace-lock-'));
  });
  afterEach(() => rmSync(dir, { recursive: true }));
  const lock = (packages: Record<string, unknown>): void => writeFileSync(join(dir, 'package-lock.json'), JSON.stringify({ packages }));

  it('names an optional package of another platform that the lock does not hold', () => {
    lock({ '': {}, 'node_modules/tool': { optionalDependencies: { 'tool-linux': '1.0.0', 'tool-mac': '1.0.0' } }, 'node_modules/tool-linux': {} });
    expect(findLockProblems(dir)).toEqual(['package-lock.json: node_modules/tool needs the optional tool-mac, which the lock does not hold']);
  });

  it('finds an optional package that is nested in its user', () => {
    lock({ '': {}, 'node_modules/a/node_modules/tool': { optionalDependencies: { mac: '1' } }, 'node_modules/a/node_modules/mac': {} });
    expect(findLockProblems(dir)).toEqual([]);
  });

  it('refuses the address of a registry', () => {
    lock({ '': {}, 'node_modules/tool': { resolved: 'https://registry.example.com/tool.tgz' } });
    expect(findLockProblems(dir)).toEqual(['package-lock.json: node_modules/tool names a registry']);
  });
});
