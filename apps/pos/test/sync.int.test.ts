import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { posRunSchema, posSyncSchema } from '@millrace/contracts';
import type { PosRun } from '@millrace/contracts';
import { sampleProduct } from '@millrace/pos-stub';
import { eventually } from '@millrace/testing';
import { startPlane } from './pos-kit.ts';
import type { Instance, Plane } from './pos-kit.ts';

let plane: Plane;
beforeEach(async () => { plane = await startPlane(); });
afterEach(() => plane.close());

const sync = async (instance: Instance, query = ''): Promise<PosRun> => {
  const answer = posSyncSchema.parse((await instance.call('POST', `/api/pos/sync${query}`)).body);
  if (answer.dry_run) throw new Error('a dry run');
  return answer.run;
};
const differ = async (instance: Instance, query = '') => {
  const answer = posSyncSchema.parse((await instance.call('POST', `/api/pos/sync?dry_run=true${query}`)).body);
  if (!answer.dry_run) throw new Error('a run');
  return answer;
};

describe('synchronising with the POS', () => {
  it('takes over the whole shop, then only what changed, and nothing twice', async () => {
    const instance = await plane.start();
    const first = await sync(instance);
    expect([first.state, first.counts.created, first.counts.refused, plane.catalogue.products.size]).toEqual(['done', 250, 0, 250]);
    expect(plane.catalogue.products.get('SP000007')).toMatchObject({ name: sampleProduct(7).name, price: 22_000, currency: 'VND', stock: 28, brand: 'Nhật Minh', ean: ['8930000000007'], attributes: { 'Loại': 'Hộp' }, status: 'active' });
    const gets = plane.stub.hours.total;
    const second = await sync(instance);
    expect([second.counts.created, second.counts.updated, second.counts.deleted, plane.catalogue.writes.length]).toEqual([0, 0, 0, 250]);
    expect(plane.stub.hours.total - gets).toBeLessThanOrEqual(3);
    await plane.shop('PUT', 'SP000007', { basePrice: 99_000, name: 'Trà mới' });
    await plane.shop('PUT', 'SP000009', { inventories: [{ branchId: 1, onHand: 4 }] });
    await plane.shop('DELETE', 'SP000008');
    const third = await sync(instance);
    expect([third.counts.updated, third.counts.deleted]).toEqual([2, 1]);
    expect([plane.catalogue.products.get('SP000007'), plane.catalogue.products.get('SP000009')?.stock, plane.catalogue.products.has('SP000008')]).toMatchObject([{ price: 99_000, name: 'Trà mới' }, 4, false]);
  });

  it('says in a dry run what a run would do, and changes nothing', async () => {
    const instance = await plane.start();
    const all = await differ(instance);
    expect([all.counts.created, all.changes.length, all.truncated, plane.catalogue.products.size]).toEqual([250, 200, true, 0]);
    await sync(instance);
    await plane.shop('PUT', 'SP000007', { basePrice: 99_000 });
    const { changes, counts } = await differ(instance);
    expect([counts.updated, changes]).toEqual([1, [{ sku: 'SP000007', pos_id: 1_007, action: 'update', fields: { price: { from: 22_000, to: '99000' } }, kept: [] }]]);
    expect(plane.catalogue.products.get('SP000007')?.price).toBe(22_000);
    expect((await plane.pool.query('select count(*)::int as runs from pos.runs')).rows).toEqual([{ runs: 1 }]);
  });

  it('leaves texts that were edited in the catalogue, and takes price and stock from the POS whatever was edited', async () => {
    const instance = await plane.start();
    await sync(instance);
    plane.catalogue.edit('SP000007', { name: 'Tên đẹp', price: 1, stock: 999 });
    await plane.shop('PUT', 'SP000007', { basePrice: 30_000, name: 'Tên của quầy', description: 'Mô tả mới' });
    const run = await sync(instance);
    expect([run.counts.kept, plane.catalogue.products.get('SP000007')]).toMatchObject([1, { name: 'Tên đẹp', price: 30_000, stock: 28, description: 'Mô tả mới' }]);
  });

  it('fills gaps only of products that the catalogue knew before, and archives them where the POS drops them', async () => {
    plane.catalogue.edit('SP000007', { name: 'Có trước', description: 'của ta', category: null, price: 5, status: 'active' });
    const instance = await plane.start();
    await sync(instance);
    expect(plane.catalogue.products.get('SP000007')).toMatchObject({ name: 'Có trước', description: 'của ta', category: 'Đồ gia dụng', price: 22_000, stock: 28 });
    await plane.shop('DELETE', 'SP000007');
    const run = await sync(instance);
    expect([run.counts.archived, plane.catalogue.products.get('SP000007')]).toMatchObject([1, { status: 'archived', stock: 0, name: 'Có trước' }]);
  });

  it('moves a product whose code changed, and lets two products swap theirs', async () => {
    const instance = await plane.start();
    await sync(instance);
    await plane.shop('PUT', 'SP000007', { code: 'MOI-7' });
    await sync(instance);
    expect([plane.catalogue.products.has('SP000007'), plane.catalogue.products.get('MOI-7')?.price]).toEqual([false, 22_000]);
    await plane.shop('PUT', 'SP000001', { code: 'X' });
    await plane.shop('PUT', 'SP000002', { code: 'SP000001' });
    await plane.shop('PUT', 'X', { code: 'SP000002' });
    await sync(instance);
    expect([plane.catalogue.products.get('SP000001')?.price, plane.catalogue.products.get('SP000002')?.price, plane.catalogue.products.size]).toEqual([17_000, 16_000, 250]);
  });

  it('refuses single products that cannot be taken over, says why, and takes the others', async () => {
    const set = (id: number, over: object): void => void plane.stub.shop.products.set(id, Object.assign({}, plane.stub.shop.products.get(id), over));
    set(1_001, { code: '' });
    set(1_002, { basePrice: -5 });
    set(1_003, { basePrice: '25000.4' });
    set(1_004, { basePrice: 'rẻ' });
    set(1_005, { code: 'a/b' });
    set(1_006, { inventories: [{ branchId: 1, onHand: -3.5, reserved: 0 }] });
    set(1_007, { name: '' });
    set(1_008, { code: 'SP000009' });
    set(1_010, { modifiedMs: Date.now() + 86_400_000 * 365 });
    const instance = await plane.start();
    const run = await sync(instance);
    expect([run.counts.created, run.counts.refused, run.problems.map(({ pos_id: id, pointer }) => [id, pointer]).toSorted(([a], [b]) => Number(a) - Number(b))]).toEqual([244, 6, [[1_001, '/code'], [1_002, '/basePrice'], [1_004, '/basePrice'], [1_005, '/sku'], [1_007, '/name'], [1_008, '/code']]]);
    expect([plane.catalogue.products.get('SP000003')?.price, plane.catalogue.products.get('SP000006')?.stock]).toEqual([25_000, 0]);
    // The one from the future does not hide what comes now.
    await plane.shop('PUT', 'SP000020', { basePrice: 1_000 });
    await sync(instance);
    expect(plane.catalogue.products.get('SP000020')?.price).toBe(1_000);
  });

  it('goes on after a kill between any two steps, and ends with every product once', async () => {
    const instance = await plane.start({ POS_LEASE_MS: '500' });
    let batches = 0;
    // The answer of the second batch is lost; then a process dies: its run stays as it was.
    plane.catalogue.after = () => {
      batches += 1;
      if (batches === 2) throw new Error('lost');
    };
    const failed = await instance.call('POST', '/api/pos/sync');
    expect([failed.status, failed.body['code']]).toEqual([502, 'upstream_unavailable']);
    await plane.pool.query(`update pos.runs set state = 'running', ended_at = null, error = null`);
    const run = await eventually(async () => {
      const { body } = await instance.call('GET', '/api/pos/status');
      const last = posRunSchema.parse((body['sync'] as Record<string, unknown>)['run']);
      if (last.state !== 'done') throw new Error(JSON.stringify(last));
      return last;
    });
    expect([run.id, plane.catalogue.products.size, plane.catalogue.writes.length, plane.catalogue.writes.filter((write) => write.startsWith('create')).length]).toEqual([1, 250, 250, 250]);
    // What was made in the batch whose answer was lost is known as made here.
    await plane.shop('DELETE', 'SP000150');
    await sync(instance);
    expect(plane.catalogue.products.has('SP000150')).toBe(false);
  });

  it('is left to another instance by one that is stopped, at once', async () => {
    const [first, second] = [await plane.start(), await plane.start({ POS_CHECK_MS: '60000' })];
    let batches = 0;
    const reached = new Promise<void>((resolve) => {
      plane.catalogue.before = () => {
        batches += 1;
        if (batches === 2) resolve();
      };
    });
    await first.call('POST', '/api/pos/sync?wait_seconds=0');
    await reached;
    await first.close();
    expect((await plane.pool.query('select state from pos.runs')).rows).toEqual([{ state: 'running' }]);
    await second.worker?.check();
    expect([(await plane.pool.query('select state from pos.runs')).rows, plane.catalogue.writes.length, plane.catalogue.products.size]).toEqual([[{ state: 'done' }], 250, 250]);
  });

  it('goes on when Redis comes back, with what was left', async () => {
    const instance = await plane.start();
    let batches = 0;
    const reached = new Promise<void>((resolve) => {
      plane.catalogue.before = () => {
        batches += 1;
        if (batches === 2) resolve();
      };
    });
    await instance.call('POST', '/api/pos/sync?wait_seconds=0');
    await reached;
    await plane.redis.kill();
    expect((await instance.call('GET', '/api/pos/branches')).body['code']).toBe('unavailable');
    expect((await instance.call('GET', '/api/pos/status')).body).toMatchObject({ configured: true, budget: null });
    await plane.redis.restart();
    await eventually(async () => {
      const { status } = await instance.call('POST', '/api/pos/sync');
      return status === 200 && plane.catalogue.products.size === 250;
    });
    expect(plane.catalogue.writes).toHaveLength(250);
  });

  it('is done by one of four instances at a time, and a second request is told so', async () => {
    const instances = [await plane.start(), await plane.start(), await plane.start(), await plane.start()];
    const answers = await Promise.all(instances.map((instance) => instance.call('POST', '/api/pos/sync')));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 409, 409, 409]);
    expect([plane.catalogue.writes.length, plane.stub.tokens.issued]).toEqual([250, 1]);
  });

  it('is refused as a late writer after another instance has taken over', async () => {
    const instance = await plane.start();
    plane.catalogue.before = async () => {
      plane.catalogue.before = undefined;
      // Meanwhile another one had the lease.
      await plane.pool.query('update pos.state set fence = fence + 1000000');
      plane.catalogue.fence += Number.MAX_SAFE_INTEGER - plane.catalogue.fence - 1;
    };
    const answer = await instance.call('POST', '/api/pos/sync?wait_seconds=1');
    await eventually(() => instance.logs.some((line) => line.includes('taken over by another instance')));
    expect([answer.status, plane.catalogue.writes]).toEqual([202, []]);
  });

  it('tries again where products are edited while it writes', async () => {
    const instance = await plane.start();
    await sync(instance);
    await plane.shop('PUT', 'SP000007', { basePrice: 30_000, description: 'mới' });
    plane.catalogue.before = () => {
      plane.catalogue.before = undefined;
      plane.catalogue.edit('SP000007', { name: 'vừa sửa' });
    };
    await sync(instance);
    expect(plane.catalogue.products.get('SP000007')).toMatchObject({ price: 30_000, description: 'mới', name: 'vừa sửa' });
  });

  it('goes by itself where an interval is set', async () => {
    await plane.start({ POS_SYNC_INTERVAL_MS: '100' });
    await eventually(() => plane.catalogue.products.size === 250);
    await plane.shop('PUT', 'SP000007', { basePrice: 31_000 });
    await eventually(() => plane.catalogue.products.get('SP000007')?.price === 31_000);
  });

  it('reads everything again when asked to, and finds what is gone', async () => {
    const instance = await plane.start();
    await sync(instance);
    plane.catalogue.products.delete('SP000001');
    await plane.shop('DELETE', 'SP000002');
    await plane.pool.query(`update pos.state set products_from = now() + interval '1 day'`);
    const run = await sync(instance, '?full=true');
    expect([run.counts.created, run.counts.deleted, plane.catalogue.products.has('SP000001'), plane.catalogue.products.has('SP000002')]).toEqual([1, 1, true, false]);
  });
});
