import { startStack } from '../../local/stack.ts';
import type { Stack } from '../../local/stack.ts';
import { newStateDir } from '../../local/test-run.ts';

/** A stack of its own, durable as in production, for as long as `work` lasts. */
export async function onAStack<T>(name: string, env: Record<string, string>, work: (stack: Stack) => Promise<T>): Promise<T> {
  const stack = await startStack({ stateDir: newStateDir(name), ports: 'free', durable: true, env: { LOG_LEVEL: 'warn', ...env } });
  try {
    return await work(stack);
  } finally {
    await stack.stop();
  }
}
