import { describe, expect, it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import { createTargets } from '../src/index.ts';

function world() {
  const state: { live: string | undefined; building: string | undefined; open: string[]; opened: number; broken: Set<string>; hanging: Map<string, Promise<void>> } = { live: 'a', building: undefined, open: [], opened: 0, broken: new Set(), hanging: new Map() };
  const warnings: object[] = [];
  const targets = createTargets({
    live: async () => state.live,
    building: () => state.building,
    open: async (name) => {
      if (state.broken.has(name)) throw new Error(`${name} is broken`);
      state.opened += 1;
      state.open.push(name);
      return name;
    },
    close: async (name) => void (state.open = state.open.filter((open) => open !== name)),
    logger: { warn: (fields: object) => void warnings.push(fields) },
    patienceMs: 20,
  });
  const written: string[] = [];
  const write = () => targets.write(async (name) => {
    await state.hanging.get(name);
    written.push(name);
    return name;
  });
  return { state, warnings, targets, written, write };
}

describe('targets', () => {
  it('take a live change into the live one and into what is being built, and answer for the live one', async () => {
    const { state, written, write } = world();
    state.building = 'b';
    expect(await write()).toBe('a');
    expect(written.toSorted((x, y) => x.localeCompare(y))).toEqual(['a', 'b']);
  });
  it('never let a live change wait for, or fail with, what is being built', async () => {
    const { state, warnings, write } = world();
    state.building = 'b';
    state.broken.add('b');
    expect(await write()).toBe('a');
    expect(warnings).toMatchObject([{ target: 'b' }]);
  });
  it('never let live changes wait for one being built that hangs, nor pile up behind it', async () => {
    const { state, warnings, written, write } = world();
    const { promise, resolve: goOn } = Promise.withResolvers<void>();
    state.building = 'b';
    state.hanging.set('b', promise);
    for (let n = 0; n < 50; n += 1) expect(await write()).toBe('a');
    expect([written.length, warnings]).toMatchObject([50, [{ target: 'b' }]]);
    goOn();
    await eventually(async () => (await write()) === 'a' && written.filter((name) => name === 'b').length > 1);
    expect(warnings).toHaveLength(1);
  });
  it('fail where the live one fails, so that the bus delivers again, and try to open it anew', async () => {
    const { state, write } = world();
    state.broken.add('a');
    await expect(write()).rejects.toThrow('a is broken');
    state.broken.clear();
    expect(await write()).toBe('a');
  });
  it('follow a swap, and close the one before only when nobody uses it any more', async () => {
    const { state, targets, write } = world();
    const { promise: slow, resolve: finish } = Promise.withResolvers<void>();
    const long = targets.withLive(async () => slow);
    await write();
    state.live = 'b';
    await write();
    expect(state.open).toEqual(['a', 'b']);
    finish();
    await long;
    expect(state.open).toEqual(['b']);
  });
  it('open each one once', async () => {
    const { state, write, targets } = world();
    await Promise.all([write(), write(), targets.withOne('a', async () => undefined)]);
    expect(state.opened).toBe(1);
    await targets.close();
    expect(state.open).toEqual([]);
  });
  it('answer nothing where there is no live one', async () => {
    const { state, targets } = world();
    state.live = undefined;
    expect(await targets.withLive(async (name) => name)).toBeUndefined();
  });
});
