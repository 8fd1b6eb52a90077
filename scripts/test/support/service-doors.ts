import { globSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { SignJWT, UnsecuredJWT, importJWK } from 'jose';
import { z } from 'zod';
import { operations, scopes } from '../../../libs/contracts/src/index.ts';
import type { Operation } from '../../../libs/contracts/src/index.ts';
import { root } from '../../local/paths.ts';
import type { Plane } from './plane.ts';

const jwkSchema = z.looseObject({ kid: z.string(), x: z.string(), d: z.string() });
type Jwk = z.output<typeof jwkSchema>;

const keyOf = (plane: Plane, service: string): Jwk => jwkSchema.parse(JSON.parse(readFileSync(join(plane.stack.stateDir, 'secrets', 'keys', `${service}.jwk`), 'utf8')));
interface Claims { readonly iss?: string; readonly aud: string; readonly exp?: number }
const claims = { sub: 'key_forged', scope: scopes.join(' ') };
const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1_000) + seconds;

async function signed(jwk: Jwk, { iss = jwk.kid, aud, exp = inSeconds(60) }: Claims, kid = jwk.kid): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: 'EdDSA', kid }).setIssuer(iss).setAudience(aud).setIssuedAt().setExpirationTime(exp).sign(await importJWK(jwk, 'EdDSA'));
}

/** What a service must not take, and what it says: 403 only to a service that is who it says and has no business there. */
async function forgeries(plane: Plane, service: string): Promise<readonly (readonly [string, string | undefined, number])[]> {
  const [gateway, other] = [keyOf(plane, 'gateway'), keyOf(plane, service === 'ut360-lookup' ? 'recommender' : 'ut360-lookup')];
  const publicKey = Buffer.from(gateway.x, 'base64url');
  return [
    ['nothing', undefined, 401],
    ['an API key', plane.stack.apiKey, 401],
    ['a token for another service', await signed(gateway, { aud: other.kid }), 401],
    ['an expired token', await signed(gateway, { aud: service, exp: inSeconds(-120) }), 401],
    ['a token of another service in the name of the gateway', await signed(other, { aud: service, iss: 'gateway' }), 401],
    ['a token under the kid of the gateway by another key', await signed(other, { aud: service, iss: 'gateway' }, 'gateway'), 401],
    ['a token without a signature', new UnsecuredJWT(claims).setIssuer('gateway').setAudience(service).setExpirationTime('1m').encode(), 401],
    ['a token under the public key', await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'gateway' }).setIssuer('gateway').setAudience(service).setExpirationTime('1m').sign(publicKey), 401],
    ['a token of a service that has no business there', await signed(other, { aud: service }), 403],
  ];
}

async function statusOf(url: string, method: string, token: string | undefined, body?: unknown): Promise<number> {
  const answer = await fetch(url, { method, headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...(body !== undefined && { 'content-type': 'application/json' }) }, ...(body !== undefined && { body: JSON.stringify(body) }) });
  await answer.text();
  return answer.status;
}

const withParams = (path: string): string => path.replaceAll(/\{\w+\}/g, '1');
const bodyOf = ({ method, bodyExample }: Operation): unknown => (method === 'get' || method === 'delete' ? undefined : (bodyExample ?? {}));

/** Every path below /internal that somebody in the sources calls or documents, up to its parameter. */
function internalPaths(): readonly string[] {
  const sources = globSync(['apps/*/src/**/*.ts', 'libs/*/src/**/*.ts'], { cwd: root }).map((file) => readFileSync(join(root, file), 'utf8'));
  const found = sources.flatMap((source) => source.match(/\/internal\/[a-z][\w/-]*/g) ?? []);
  return [...new Set([...found.map((path) => (path.endsWith('/') ? `${path}1` : path)), '/internal/nothing-of-this-name'])];
}

const INSIDE = ['catalog-api', 'event-ingest', 'recommender', 'embedding-worker', 'es-sync-worker'];

/** No service takes a call but with the gateway's own word for it, whoever gets into its network. */
export const describeServiceDoors = (planeOf: () => Plane): void => describe('services', () => {
  it('refuse every operation on their public ports without a token of the gateway for them', async () => {
    const wrong: string[] = [];
    for (const { name, url } of planeOf().stack.apps) {
      if (url === undefined || name === 'gateway') continue;
      const own = operations.filter(({ service }) => service === name);
      const right = await signed(keyOf(planeOf(), 'gateway'), { aud: name });
      const reads = await Promise.all(own.filter(({ method, isFeed }) => method === 'get' && isFeed !== true).map(({ path }) => statusOf(url + withParams(path), 'GET', right)));
      expect([name, reads.filter((status) => status === 401 || status === 403), own.length > 0]).toEqual([name, [], true]);
      for (const [what, token, wanted] of await forgeries(planeOf(), name))
        await Promise.all(own.map(async (operation) => {
          const status = await statusOf(url + withParams(operation.path), operation.method.toUpperCase(), token, bodyOf(operation));
          if (status !== wanted) wrong.push(`${operation.operationId} of ${name}: ${what}: ${status}`);
        }));
    }
    expect(wrong).toEqual([]);
  });
  it('refuse everything below /internal of their second ports, also what is not there', async () => {
    const wrong: string[] = [];
    const paths = internalPaths();
    expect(paths.length).toBeGreaterThan(10);
    for (const { name, internalUrl } of planeOf().stack.apps)
      for (const [what, token, wanted] of await forgeries(planeOf(), name))
        await Promise.all(paths.flatMap((path) => ['GET', 'POST'].map(async (method) => {
          const status = await statusOf(internalUrl + path, method, token);
          if (status !== (INSIDE.includes(name) ? wanted : 404)) wrong.push(`${method} ${path} of ${name}: ${what}: ${status}`);
        })));
    expect(wrong).toEqual([]);
  });
  it('show no secret of the installation or of a caller in logs, metrics, answers or the audit log', async () => {
    const { stack } = planeOf();
    const call: Plane['call'] = (...request) => planeOf().call(...request);
    const internal = await signed(keyOf(planeOf(), 'gateway'), { aud: 'catalog-api' });
    const sent = { 'x-user-id': 'canary-user-7719', 'idempotency-key': 'canary-idempotency-7719', authorization: `Bearer ${internal}`, cookie: 'session=canary-cookie-7719' };
    const answers = await Promise.all(operations.filter(({ isFeed }) => isFeed !== true).map(async (operation) => {
      // Wrong on purpose: what fails is what is logged.
      const path = withParams(operation.path).replaceAll('1', 'canary-path-7719');
      return JSON.stringify(await call(operation.method.toUpperCase(), `${path}?password=canary-password-7719`, operation.method === 'get' ? undefined : { password: 'canary-password-7719' }, sent));
    }));
    const audit = JSON.stringify((await call('GET', '/api/admin/audit?limit=200')).body);
    const metrics = await Promise.all(stack.apps.map(async ({ internalUrl }) => (await fetch(`${internalUrl}/metrics`)).text()));
    const logs = globSync('logs/*', { cwd: stack.stateDir }).map((file) => readFileSync(join(stack.stateDir, file), 'utf8'));
    const files = globSync('secrets/**/*', { cwd: stack.stateDir }).map((file) => join(stack.stateDir, file)).filter((file) => statSync(file).isFile() && !file.endsWith('jwks.json'));
    const secrets = files.flatMap((file) => (file.endsWith('.jwk') ? [jwkSchema.parse(JSON.parse(readFileSync(file, 'utf8'))).d] : (readFileSync(file, 'utf8').match(/[\w-]{24,}/g) ?? []).filter((word) => /\d/.test(word))));
    expect(secrets.length).toBeGreaterThan(15);
    const own = [...secrets, internal, 'canary-user-7719', 'canary-idempotency-7719', 'canary-cookie-7719', 'canary-password-7719'];
    const shown = { logs: logs.join('\n'), metrics: metrics.join('\n'), audit, answers: answers.join('\n') };
    for (const [where, text] of Object.entries(shown)) expect([where, own.filter((secret) => text.includes(secret))]).toEqual([where, []]);
    // Names in paths are in no log and no metric either.
    expect([shown.logs, shown.metrics].map((text) => text.includes('canary-path-7719'))).toEqual([false, false]);
  });
});
