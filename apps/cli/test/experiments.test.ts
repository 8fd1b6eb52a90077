import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ExperimentResults } from '@millrace/contracts';
import { getExperiment, getExperimentResults } from '@millrace/contracts';
import { runCommand, startFakeGateway } from './fake-gateway.ts';
import type { FakeGateway } from './fake-gateway.ts';

const experiment = getExperiment.responses[200].example;
const [control] = getExperimentResults.responses[200].example.variants;
const results: ExperimentResults = {
  ...getExperimentResults.responses[200].example,
  variants: [...(control ? [control] : []), {
    key: 'strong-boost', weight: 1, users: 4_990, open_users: 0, lists: 20_000, lists_seen: 18_000, lists_clicked: 1_800, click_rate: { value: 0.1, interval: { low: 0.095, high: 0.105 } },
    click_rate_difference: { value: 0.01, interval: { low: -0.002, high: 0.022 }, excludes_zero: false }, buyers: 0, conversion: null, conversion_difference: null,
  }],
  notes: ['Mind the gap.'],
};
let gateway: FakeGateway;
beforeAll(async () => {
  gateway = await startFakeGateway(({ path }) => {
    if (path.includes('unknown')) return { status: 404, body: { type: 'x', title: 'Not found', status: 404, code: 'not_found', detail: 'the experiment unknown does not exist' } };
    return { body: path.endsWith('/results') ? results : path.endsWith('experiments') ? { data: [experiment] } : experiment };
  });
});
afterAll(() => gateway.close());
const run = (...args: string[]) => runCommand(gateway.url, ['experiments', ...args]);

describe('millrace experiments', () => {
  it('lists and shows them', async () => {
    expect((await run('list')).out.join('\n')).toMatch(/category-boost +running +50 % +control 1, strong-boost 1/);
    expect(JSON.parse((await run('show', 'category-boost')).out.join('\n'))).toEqual(experiment);
    expect(JSON.parse((await run('list', '--json')).out.join('\n'))).toEqual([experiment]);
  });
  it('shows results with their intervals and notes', async () => {
    const text = (await run('results', 'category-boost')).out.join('\n');
    expect(text).toContain('category-boost: running, not final');
    expect(text).toMatch(/strong-boost +4990 +18000 +1800 +10 % \(9.5 % to 10.5 %\) +\+1 \(-0.2 to \+2.2\) +0 +- +-/);
    expect(text).toContain('Mind the gap.');
    expect(JSON.parse((await run('results', 'category-boost', '--json')).out.join('\n'))).toEqual(results);
  });
  it('says so where there is none of that key', async () => {
    expect((await run('results', 'unknown')).failure).toMatchObject({ message: 'the experiment unknown does not exist' });
  });
});
