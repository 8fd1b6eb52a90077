import { describe, expect, it } from '@jest/globals';
import { createHealth } from '../src/index.ts';

describe('readiness', () => {
  it('is red until the service has started', async () => {
    const health = createHealth();
    expect(await health.readiness()).toEqual({ ready: false, checks: { phase: 'starting' } });
    health.started();
    expect((await health.readiness()).ready).toBe(true);
  });
  it('names the check that fails, by rejection or by false', async () => {
    const health = createHealth();
    health.started();
    health.addCheck('database', async () => Promise.reject(new Error('no connection')));
    health.addCheck('search', async () => false);
    expect(await health.readiness()).toEqual({ ready: false, checks: { phase: 'running', database: 'no connection', search: 'failed' } });
  });
  it('never comes back once it drains, even if the start ends afterwards', async () => {
    const health = createHealth();
    health.drain();
    health.started();
    expect((await health.readiness()).checks['phase']).toBe('draining');
  });
});
