import { describe, expect, it } from '@jest/globals';
import { parsePlan, scattered, spread } from '../chaos/bus/plan.ts';
import { createRandom } from '../chaos/support/random.ts';

describe('the plan of a chaos run of the bus', () => {
  it.each([
    { name: 'kills 200 consumers and 20 times Redis while 100,000 messages flow', args: [], plan: { ordering: 'none', partitions: 1, kills: 200, redisKills: 20, messages: 100_000 } },
    { name: 'leaves Redis alone where the order is looked at', args: ['--ordering', 'key'], plan: { ordering: 'key', partitions: 4, kills: 20, redisKills: 0, messages: 100_000 } },
    { name: 'takes what is given', args: ['--kills', '7', '--redis-kills', '2', '--messages', '5000', '--partitions', '3', '--seed', '9'], plan: { ordering: 'none', partitions: 3, kills: 7, redisKills: 2, messages: 5_000, seed: 9 } },
  ])('$name', ({ args, plan }) => {
    expect(parsePlan(args)).toMatchObject(plan);
  });

  it('gives each kill its time, within what one machine can carry', () => {
    expect(parsePlan(['--kills', '100', '--redis-kills', '0', '--messages', '30000']).rate).toBe(200);
    expect(parsePlan(['--kills', '0', '--redis-kills', '0', '--messages', '1000000']).rate).toBe(2_000);
  });

  it.each([
    { name: 'kills of Redis where the order is looked at', args: ['--ordering', 'key', '--redis-kills', '1'] },
    { name: 'too few messages to kill anybody among them', args: ['--messages', '10'] },
    { name: 'a number that is none', args: ['--kills', 'many'] },
    { name: 'an option that it does not know', args: ['--rounds', '3'] },
  ])('refuses $name', ({ args }) => {
    expect(() => parsePlan(args)).toThrow();
  });

  it.each([
    { name: 'anywhere in the run', choose: scattered },
    { name: 'spread over the run', choose: spread },
  ])('chooses the same moments for the same seed, ascending and while messages flow: $name', ({ choose }) => {
    const moments = choose(createRandom(5), 50, 10_000);
    expect(choose(createRandom(5), 50, 10_000)).toEqual(moments);
    expect(moments).toHaveLength(50);
    expect(moments.toSorted((a, b) => a - b)).toEqual(moments);
    expect(moments.every((moment) => moment > 0 && moment < 10_000)).toBe(true);
  });

  it('keeps room between kills that are spread', () => {
    const moments = spread(createRandom(5), 20, 10_000);
    expect(Math.min(...moments.slice(1).map((moment, at) => moment - (moments[at] ?? 0)))).toBeGreaterThanOrEqual(250);
  });
});
