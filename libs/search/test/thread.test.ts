import { expect, it } from '@jest/globals';
import { createSearchThread } from '../src/embedded/thread.ts';
import { SearchUnavailableError } from '../src/index.ts';

// Long on a busy machine; a thread that hangs is waited for as long as that.
const open = (timeoutMs = 10_000) => createSearchThread({ directory: '', timeoutMs, url: new URL('./misbehaving-worker.ts', import.meta.url) });

it.each(['crash', 'exit', 'hang'])('rejects the request that makes its thread %s, and answers later ones', async (prefix) => {
  const thread = open(prefix === 'hang' ? 3_000 : undefined);
  const ask = (text: string) => thread.ask((id) => ({ id, kind: 'suggest', prefix: text, limit: 1 }));
  try {
    await expect(ask(prefix)).rejects.toBeInstanceOf(SearchUnavailableError);
    expect(await ask('later')).toMatchObject({ suggestions: [{ text: 'later' }] });
  } finally {
    await thread.close();
  }
});

it.each(['crash', 'exit'])('sends requests again that waited behind one that made the thread %s', async (prefix) => {
  const thread = open();
  const ask = (text: string) => thread.ask((id) => ({ id, kind: 'suggest', prefix: text, limit: 1 }));
  try {
    const [bad, ...behind] = await Promise.allSettled([ask(prefix), ask('b'), ask('c')]);
    expect(bad.status).toBe('rejected');
    expect(behind).toMatchObject([{ value: { suggestions: [{ text: 'b' }] } }, { value: { suggestions: [{ text: 'c' }] } }]);
  } finally {
    await thread.close();
  }
});

it('rejects what is under way and what comes later once it is closed', async () => {
  const thread = open();
  const ask = () => thread.ask((id) => ({ id, kind: 'suggest', prefix: 'hang', limit: 1 }));
  const pending = ask().catch((error: unknown) => error);
  await Promise.resolve();
  await thread.close();
  expect(await pending).toBeInstanceOf(SearchUnavailableError);
  await expect(ask()).rejects.toBeInstanceOf(SearchUnavailableError);
});
