import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { parseDocument } from '../local/api-diff/document.ts';
import { compareDocuments } from '../local/api-diff/documents.ts';
import { root } from '../local/paths.ts';
import { diffOpenApi } from '../openapi-diff.ts';

const text = { type: 'string' };
const json = (schema: unknown) => ({ content: { 'application/json': { schema } } });
const documentOf = (operation: Record<string, unknown>, schemas: Record<string, unknown> = {}, path = '/things/{id}') =>
  JSON.stringify({ openapi: '3.1.0', paths: { [path]: { post: { operationId: 'op', responses: {}, ...operation } } }, components: { schemas } });
const changesOf = (old: string, now: string): string[] => compareDocuments(parseDocument(old), parseDocument(now)).map((change) => `${change.isBreaking ? 'breaking' : 'additive'} ${change.text}`);

const query = (schema: unknown, required = false) => documentOf({ parameters: [{ in: 'query', name: 'q', required, schema }] });
const request = (schema: unknown) => documentOf({ requestBody: { required: true, ...json(schema) } });
const answer = (schema: unknown) => documentOf({ responses: { 200: json(schema) } });
const object = (properties: Record<string, unknown>, required: readonly string[] = [], more: Record<string, unknown> = {}) => ({ type: 'object', properties, required, ...more });
const progress = object({ type: { type: 'string', const: 'progress' }, rows: { type: 'integer' } }, ['type', 'rows']);
const report = object({ type: { type: 'string', const: 'report' }, failed: { type: 'integer' } }, ['type', 'failed']);

describe('the changes between two OpenAPI documents', () => {
  it.each<{ name: string; old: string; now: string; changes: string[] }>([
    { name: 'a removed operation', old: documentOf({}), now: documentOf({ operationId: 'other' }, {}, '/others'), changes: ['breaking op: is removed', 'additive other: is new'] },
    { name: 'a renamed operation', old: documentOf({}), now: documentOf({ operationId: 'other' }), changes: ['additive op: is called other now'] },
    { name: 'a renamed path parameter', old: documentOf({ parameters: [{ in: 'path', name: 'id', required: true, schema: text }] }), now: documentOf({ parameters: [{ in: 'path', name: 'key', required: true, schema: text }] }, {}, '/things/{key}'), changes: ['breaking op path id: is removed', 'breaking op path key: is new and required'] },
    { name: 'a removed parameter', old: query(text), now: documentOf({}), changes: ['breaking op query q: is removed'] },
    { name: 'a new optional parameter', old: documentOf({}), now: query(text), changes: ['additive op query q: is new'] },
    { name: 'a new required parameter', old: documentOf({}), now: query(text, true), changes: ['breaking op query q: is new and required'] },
    { name: 'a parameter that becomes required', old: query(text), now: query(text, true), changes: ['breaking op query q: is required now'] },
    { name: 'a parameter of another type', old: query(text), now: query({ type: 'boolean' }), changes: ['breaking op query q: does not take string any more', 'additive op query q: takes boolean too'] },
    { name: 'a lower maximum of a parameter', old: query({ type: 'integer', maximum: 500 }), now: query({ type: 'integer', maximum: 100 }), changes: ['breaking op query q: maximum 500 became 100'] },
    { name: 'a lower minimum of a parameter', old: query({ type: 'integer', minimum: 5 }), now: query({ type: 'integer' }), changes: ['additive op query q: minimum 5 became nothing'] },
    { name: 'a new pattern of a parameter', old: query(text), now: query({ ...text, pattern: '^a' }), changes: ['breaking op query q: pattern nothing became "^a"'] },
    { name: 'a whole number that may be any', old: query({ type: 'integer' }), now: query({ type: 'number' }), changes: ['additive op query q: is number now, was integer'] },
    { name: 'fewer values in a request', old: query({ enum: ['a', 'b'] }), now: query({ enum: ['a', 'c'] }), changes: ['breaking op query q: does not take "b" any more', 'additive op query q: takes "c" too'] },
    { name: 'listed values instead of any', old: query(text), now: query({ ...text, enum: ['a'] }), changes: ['breaking op query q: takes only ["a"] now'] },
    { name: 'a body that gets a required property', old: request(object({})), now: request(object({ name: text }, ['name'])), changes: ['breaking op body/name: is new and required'] },
    { name: 'a body that gets an optional property', old: request(object({})), now: request(object({ name: text })), changes: ['additive op body/name: is new'] },
    { name: 'a body that loses a property', old: request(object({ name: text })), now: request(object({})), changes: ['breaking op body/name: is removed'] },
    { name: 'a property of a body that becomes required', old: request(object({ name: text })), now: request(object({ name: text }, ['name'])), changes: ['breaking op body/name: is required now'] },
    { name: 'a body that refuses unknown properties', old: request(object({})), now: request(object({}, [], { additionalProperties: false })), changes: ['breaking op body: takes no other properties any more'] },
    { name: 'a body that takes null no more', old: request({ anyOf: [text, { type: 'null' }] }), now: request(text), changes: ['breaking op body: does not take null any more'] },
    { name: 'the same null written otherwise', old: request({ anyOf: [text, { type: 'null' }] }), now: request({ type: ['string', 'null'] }), changes: [] },
    { name: 'a body that becomes required', old: documentOf({ requestBody: json(text) }), now: request(text), changes: ['breaking op body: is required now'] },
    { name: 'a first body', old: documentOf({}), now: documentOf({ requestBody: json(text) }), changes: [] },
    { name: 'another media type of a body', old: request(text), now: documentOf({ requestBody: { required: true, content: { 'text/csv': { schema: text } } } }), changes: ['breaking op body: does not take application/json any more', 'additive op body: takes text/csv too'] },
    { name: 'a removed status', old: answer(text), now: documentOf({ responses: { 201: json(text) } }), changes: ['breaking op 200: is removed', 'additive op 201: is new'] },
    { name: 'an answer that loses a property', old: answer(object({ a: text })), now: answer(object({})), changes: ['breaking op 200/a: is removed'] },
    { name: 'an answer that gets a property', old: answer(object({})), now: answer(object({ a: text }, ['a'])), changes: ['additive op 200/a: is new'] },
    { name: 'a property of an answer that may be missing', old: answer(object({ a: text }, ['a'])), now: answer(object({ a: text })), changes: ['breaking op 200/a: may be missing now'] },
    { name: 'an answer that may be null', old: answer(object({ a: text })), now: answer(object({ a: { type: ['string', 'null'] } })), changes: ['breaking op 200/a: may be null now'] },
    { name: 'a fraction where a whole number was', old: answer({ type: 'array', items: { type: 'integer' } }), now: answer({ type: 'array', items: { type: 'number' } }), changes: ['breaking op 200/*: is number now, was integer'] },
    { name: 'an answer with more values', old: answer({ ...text, enum: ['a'] }), now: answer({ ...text, enum: ['a', 'b'] }), changes: ['additive op 200: may be "b" too'] },
    { name: 'an answer with any value', old: answer({ ...text, enum: ['a'] }), now: answer(text), changes: ['breaking op 200: may be any value now'] },
    { name: 'an answer of any type', old: answer(text), now: answer({}), changes: ['breaking op 200: may be of any type now'] },
    { name: 'bounds of an answer', old: answer({ type: 'integer', maximum: 5 }), now: answer({ type: 'integer', maximum: 9 }), changes: [] },
    { name: 'a map with other values', old: answer(object({}, [], { additionalProperties: text })), now: answer(object({}, [], { additionalProperties: { type: 'boolean' } })), changes: ['additive op 200/{}: is never string any more', 'breaking op 200/{}: may be boolean now'] },
    { name: 'a field of one of several objects', old: answer({ oneOf: [progress, report] }), now: answer({ oneOf: [report, object({ type: { type: 'string', const: 'progress' } }, ['type'])] }), changes: ['breaking op 200/(type="progress")/rows: is removed'] },
    { name: 'one object more in an answer', old: answer(progress), now: answer({ oneOf: [progress, report] }), changes: ['breaking op 200: may be type="report" now'] },
    { name: 'another scope', old: documentOf({ 'x-scope': 'products:read' }), now: documentOf({ 'x-scope': 'admin' }), changes: ['breaking op: needs the scope admin now, was products:read'] },
    { name: 'a way less to sign in', old: documentOf({ security: [{ apiKey: [] }, { publishableKey: [] }] }), now: documentOf({ security: [{ apiKey: [] }] }), changes: ['breaking op: cannot be called with publishableKey any more'] },
    { name: 'a way more to sign in', old: documentOf({ security: [{ apiKey: [] }] }), now: documentOf({ security: [{ apiKey: [] }, { bearer: [] }] }), changes: ['additive op: can be called with bearer too'] },
    { name: 'descriptions, examples and the order of properties', old: answer(object({ a: { ...text, example: 'x' }, b: text })), now: answer(object({ b: text, a: { ...text, description: 'y' } })), changes: [] },
  ])('are right for $name', ({ old, now, changes }) => {
    expect(changesOf(old, now)).toEqual(changes);
  });

  it('name a shared schema once, and by its direction', () => {
    const both = { requestBody: { required: true, ...json({ $ref: '#/components/schemas/Thing' }) }, responses: { 200: json({ $ref: '#/components/schemas/Thing' }), 201: json({ $ref: '#/components/schemas/Thing' }) } };
    const old = documentOf(both, { Thing: object({ a: text }, ['a']) });
    expect(changesOf(old, documentOf(both, { Thing: object({ a: text }) }))).toEqual(['additive Thing (request)/a: is optional now', 'breaking Thing (answer)/a: may be missing now']);
    expect(changesOf(old, documentOf({ ...both, requestBody: { required: true, ...json(object({ a: text }, ['a'])) } }, { Thing: object({ a: text }, ['a']) }))).toEqual([]);
  });

  it('end for schemas that hold themselves', () => {
    const tree = (leaf: unknown) => ({ Tree: object({ leaf, next: { anyOf: [{ $ref: '#/components/schemas/Tree' }, { type: 'null' }] }, all: { type: 'array', items: { $ref: '#/components/schemas/Tree' } } }) });
    const reply = { responses: { 200: json({ $ref: '#/components/schemas/Tree' }) } };
    expect(changesOf(documentOf(reply, tree(text)), documentOf(reply, tree({ type: 'boolean' })))).toContain('breaking Tree (answer)/leaf: may be boolean now');
  });

  it('are none between the document of this repository and itself', () => {
    const document = readFileSync(join(root, 'docs/openapi.json'), 'utf8');
    expect(changesOf(document, document)).toEqual([]);
  });
});

describe('the check of the document between commits', () => {
  let dir = '';
  const git = (...args: readonly string[]) => promisify(execFile)('git', ['-C', dir, '-c', 'user.name=t', '-c', 'user.email=t@example.com', '-c', 'commit.gpgsign=false', ...args]);
  const write = (document: string): void => writeFileSync(join(dir, 'docs/openapi.json'), document);
  const commit = async (document: string): Promise<void> => {
    write(document);
    await git('add', '-A');
    await git('commit', '-qm', 'x', '--allow-empty');
  };
  const [first, wider, narrower] = [query(text), query({ type: ['string', 'boolean'] }), query(text, true)];
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'millrace-diff-'));
    mkdirSync(join(dir, 'docs'));
    await git('init', '-q', '-b', 'main');
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  it('finds a breaking change before and after it is committed, until it is declared', async () => {
    await commit(first);
    write(narrower);
    expect(await diffOpenApi(dir)).toMatchObject({ code: 1, lines: expect.arrayContaining(['breaking   op query q: is required now', '- `op query q: is required now`: ']) });
    await commit(narrower);
    expect(await diffOpenApi(dir)).toMatchObject({ code: 1 });
    writeFileSync(join(dir, 'docs/api-changes.md'), '- `op query q: is required now`: give it\n');
    expect(await diffOpenApi(dir)).toMatchObject({ code: 0, lines: expect.arrayContaining(['declared   op query q: is required now']) });
  });

  it('compares a branch with where it left main, and with any other ref that is named', async () => {
    await commit(first);
    await git('checkout', '-qb', 'work');
    await commit(narrower);
    await commit(narrower);
    expect((await diffOpenApi(dir)).code).toBe(1);
    expect((await diffOpenApi(dir, 'HEAD~1')).code).toBe(0);
    expect(await diffOpenApi(dir, 'nothing-like-it')).toEqual({ code: 2, lines: ['git knows no commit nothing-like-it'] });
  });

  it('passes what only adds', async () => {
    await commit(first);
    await commit(wider);
    expect(await diffOpenApi(dir)).toMatchObject({ code: 0, lines: expect.arrayContaining(['other      op query q: takes boolean too']) });
  });

  it('says that it has nothing to compare with, and passes: no git, no commit, one commit, no document then', async () => {
    write(first);
    expect(await diffOpenApi(dir)).toEqual({ code: 0, lines: ['nothing to compare with: there is no commit yet'] });
    rmSync(join(dir, 'docs/openapi.json'));
    await git('commit', '-qm', 'x', '--allow-empty');
    write(first);
    expect(await diffOpenApi(dir)).toMatchObject({ code: 0, lines: [expect.stringMatching(/^nothing to compare with: \w+ has no docs\/openapi.json$/)] });
    mkdirSync(join(dir, 'unpacked/docs'), { recursive: true });
    writeFileSync(join(dir, 'unpacked/docs/openapi.json'), first);
    expect(await diffOpenApi(join(dir, 'unpacked'))).toEqual({ code: 0, lines: ['nothing to compare with: this is not a git checkout'] });
  });

  it('compares the only commit of a shallow clone with the working tree', async () => {
    await commit(first);
    await commit(first);
    const shallow = `${dir}-shallow`;
    try {
      await git('clone', '-q', '--depth', '1', `file://${dir}`, shallow);
      expect((await diffOpenApi(shallow)).code).toBe(0);
      writeFileSync(join(shallow, 'docs/openapi.json'), narrower);
      expect((await diffOpenApi(shallow)).code).toBe(1);
    } finally {
      rmSync(shallow, { recursive: true, force: true });
    }
  });
});
