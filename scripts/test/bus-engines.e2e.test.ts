// The catalogue plane and the way in, with the bus on another engine than Redis.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { createPool } from '../../libs/database/src/index.ts';
import { describeWith, eventually, startNatsServer, startPostgresServer, uniqueName } from '../../libs/testing/src/index.ts';
import type { OwnServer } from '../../libs/testing/src/index.ts';
import type { Plane } from './support/plane.ts';
import { CATALOGUE_APPS, ndjson, startPlane } from './support/plane.ts';

jest.setTimeout(180_000);

const count = process.env['TEST_SCALE'] === 'full' ? 4_000 : 600;
const products = (prefix: string) => Array.from({ length: count }, (_, n) => ({ sku: `${prefix}-${n}`, name: `Bình giữ nhiệt ${n}`, description: `keeps water cold for ${n % 24} hours`, category: `c${n % 7}`, price: 10 + n }));

/** With a server of its own, which may be killed. */
function describePlane(name: string, startServer: () => Promise<OwnServer>): void {
  describe(`the plane with its bus on ${name}`, () => {
    let server: OwnServer;
    let plane: Plane;
    beforeAll(async () => {
      server = await startServer();
      plane = await startPlane({ BUS_URL: server.url }, { apps: [...CATALOGUE_APPS, 'event-ingest'] });
    }, 180_000);
    afterAll(async () => {
      await plane.stop();
      await server.stop();
    });

    it('brings an import to search and vectors, and a change to the cache of the gateway', async () => {
      const sku = uniqueName('engine');
      await plane.call('POST', '/api/products', { sku, name: 'first name', category: 'x' });
      await eventually(async () => (await plane.call('GET', `/api/products/${sku}`)).body['name'] === 'first name');
      expect(await plane.import(ndjson([...products(uniqueName('imp')), { sku, name: 'second name', category: 'x' }]))).toMatchObject({ failed: 0 });
      await eventually(async () => (await plane.call('GET', `/api/products/${sku}`)).body['name'] === 'second name');
      await plane.agrees(60_000);
    });

    it('takes an event: acknowledged by the bus, in the context at once, in Postgres soon', async () => {
      const sku = uniqueName('seen');
      await plane.call('POST', '/api/products', { sku, name: 'seen', category: 'Lamps' });
      const { body } = await plane.call('POST', '/api/event', { user_id: 'engine-1', asin: sku, event_type: 'view' });
      expect(body).toMatchObject({ success: true, context: 'live' });
      expect((await plane.call('GET', '/api/users/engine-1/context')).body).toMatchObject({ recent_items: [{ asin: sku }] });
      expect((await plane.call('POST', '/api/event', { user_id: 'engine-1', asin: sku, event_type: 'view', event_id: body['event_id'] })).body).toMatchObject({ context: 'live' });
      const pool = createPool({ url: plane.stack.env['DATABASE_URL'] ?? '', name: 'e2e', max: 1 });
      await eventually(async () => (await pool.query('select 1 from events.interaction_logs where event_id = $1', [body['event_id']])).rowCount === 1);
      await pool.end();
    });

    it('shows topics and groups to operators, and refuses what the engine has not got', async () => {
      const { body } = await plane.call('GET', '/api/admin/streams');
      expect(JSON.stringify(body)).toContain('"group":"embedding-worker"');
      const refused = await plane.call('POST', '/api/admin/streams/product:updates/repartition', { partitions: 4 });
      expect(refused).toMatchObject({ status: 400, body: { code: 'invalid_request', detail: expect.stringContaining('has one partition') } });
    });

    it.each(['catalog-api', 'embedding-worker'] as const)('agrees when %s is killed in the middle of an import', async (app) => {
      const prefix = uniqueName('kill');
      const running = plane.import(ndjson(products(prefix))).catch((error: unknown) => error);
      await plane.hasStarted(prefix);
      await plane.stack.app(app).kill('SIGKILL');
      await plane.stack.app(app).restart();
      await running;
      await plane.agrees(90_000);
      expect([...(await plane.found()).keys()].some((sku) => sku.startsWith(prefix))).toBe(true);
    });

    it('keeps taking writes and events while its server is killed, and misses nothing afterwards', async () => {
      const [sku, eventId] = [uniqueName('dark'), uniqueName('event')];
      await server.kill();
      expect((await plane.call('POST', '/api/products', { sku, name: 'written in the dark' })).status).toBe(201);
      expect((await plane.call('POST', '/api/event', { user_id: 'engine-2', asin: sku, event_type: 'view', event_id: eventId })).body).toMatchObject({ success: true, context: 'deferred' });
      await server.restart();
      await plane.agrees(90_000);
      expect((await plane.found()).has(sku)).toBe(true);
      await eventually(async () => JSON.stringify((await plane.call('GET', '/api/users/engine-2/context')).body).includes(sku));
    });
  });
}

describeWith('nats-server', 'with NATS', () => describePlane('NATS JetStream', () => startNatsServer()));
describePlane('Postgres', startPostgresServer);
