import { describe, expect, it } from '@jest/globals';
import { createApiKey } from '@millrace/service';
import { createAuthenticateKey } from '../src/authenticate-key.ts';
import type { KeyOwner } from '../src/key.repository.ts';

const owner: KeyOwner = { id: 'key_1', workspaceId: 'default', kind: 'secret', scopes: [], isDevelopment: false };

describe('authenticating a key', () => {
  it('ends a key on time although it is remembered', async () => {
    let clock = 1_000;
    let lookups = 0;
    const authenticate = createAuthenticateKey({ isProduction: true, now: () => clock, findKeyOwner: async () => { lookups += 1; return { ...owner, expiresAtMs: 2_000 }; } });
    const key = createApiKey();
    expect((await authenticate(key)).id).toBe('key_1');
    clock = 1_999;
    await authenticate(key);
    clock = 2_000;
    await expect(authenticate(key)).rejects.toMatchObject({ code: 'unauthenticated' });
    expect(lookups).toBe(1);
  });
  it('does not remember what was read before a change that it heard of meanwhile', async () => {
    const first = Promise.withResolvers<KeyOwner>();
    const answers = [first.promise, Promise.resolve(undefined)];
    const authenticate = createAuthenticateKey({ isProduction: true, findKeyOwner: async () => answers.shift() });
    const key = createApiKey();
    const early = authenticate(key);
    authenticate.forget(new Set(['key_1']));
    first.resolve(owner);
    expect((await early).id).toBe('key_1');
    await expect(authenticate(key)).rejects.toMatchObject({ code: 'unauthenticated' });
  });
  it('asks again after a failure of the database, and tells only of uses that were let in', async () => {
    const used: string[] = [];
    const answers: (() => KeyOwner | undefined)[] = [() => { throw new Error('away'); }, () => owner, () => undefined];
    const authenticate = createAuthenticateKey({ isProduction: true, onUsed: (id) => void used.push(id), findKeyOwner: async () => answers.shift()?.() });
    const key = createApiKey();
    await expect(authenticate(key)).rejects.toMatchObject({ code: 'unavailable' });
    await authenticate(key);
    await expect(authenticate(createApiKey())).rejects.toMatchObject({ code: 'unauthenticated' });
    expect(used).toEqual(['key_1']);
  });
  it('goes on to know keys for ten minutes while the database is away, waits for it once, and hears of changes all the same', async () => {
    let clock = 0;
    let answer: () => Promise<KeyOwner | undefined> = async () => owner;
    const authenticate = createAuthenticateKey({ isProduction: true, now: () => clock, findKeyOwner: () => answer() });
    const [key, other] = [createApiKey(), createApiKey()];
    await authenticate(key);
    answer = async () => { throw new Error('away'); };
    clock = 31_000;
    expect((await authenticate(key)).id).toBe('key_1');
    await expect(authenticate(other)).rejects.toMatchObject({ code: 'unavailable' });
    // It hangs: nobody waits for it any more.
    answer = () => new Promise(() => undefined);
    clock = 33_000;
    expect((await authenticate(key)).id).toBe('key_1');
    authenticate.forget(new Set(['key_1']));
    answer = async () => { throw new Error('away'); };
    await expect(authenticate(key)).rejects.toMatchObject({ code: 'unavailable' });
    answer = async () => owner;
    await authenticate(key);
    answer = async () => { throw new Error('away'); };
    clock += 599_999;
    await authenticate(key);
    clock += 1;
    await expect(authenticate(key)).rejects.toMatchObject({ code: 'unavailable' });
  });
  it('does not know a key any more that the database no longer has, once it answers', async () => {
    let clock = 0;
    const answers: (() => KeyOwner | undefined)[] = [() => owner, () => { throw new Error('away'); }, () => undefined];
    const authenticate = createAuthenticateKey({ isProduction: true, now: () => clock, findKeyOwner: async () => answers.shift()?.() });
    const key = createApiKey();
    for (const at of [0, 31_000, 33_000]) { clock = at; await authenticate(key); }
    await expect(authenticate(key)).rejects.toMatchObject({ code: 'unauthenticated' });
  });
  it('lets no guesses pile up before a slow database, and knows whom it knew', async () => {
    let clock = 0;
    let lookups = 0;
    let answer: () => Promise<KeyOwner | undefined> = async () => owner;
    const authenticate = createAuthenticateKey({ isProduction: true, now: () => clock, findKeyOwner: () => { lookups += 1; return answer(); } });
    const key = createApiKey();
    await authenticate(key);
    const slow = Promise.withResolvers<undefined>();
    answer = () => slow.promise;
    const guesses = Array.from({ length: 1_001 }, () => authenticate(createApiKey()).catch((error: unknown) => error));
    expect(await guesses.at(-1)).toMatchObject({ code: 'unavailable' });
    clock = 31_000;
    expect([(await authenticate(key)).id, lookups]).toEqual(['key_1', 1_001]);
    slow.resolve(undefined);
    expect(await guesses[0]).toMatchObject({ code: 'unauthenticated' });
  });
});
