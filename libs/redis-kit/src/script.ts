import { createHash } from 'node:crypto';
import type { Redis } from './redis.ts';

/** Runs a script atomically on the given connection; on a cluster where its keys are, so they share a hash tag and there is at least one. The reply is unparsed. */
export type RedisScript = (redis: Redis, keys: readonly string[], args: readonly (string | number | Buffer)[]) => Promise<unknown>;

export interface ScriptOptions {
  /** On a server without memory left: `refuse` (OOM), or `run` all the same: for scripts that make room, or that keep consumers going meanwhile. */
  readonly whenFull?: 'refuse' | 'run';
}

/**
 * A Lua script, sent by its hash and sent whole only where the server does not know it yet (a restart, a flush of scripts,
 * another node), so callers never see NOSCRIPT.
 */
export function defineScript(body: string, { whenFull = 'refuse' }: ScriptOptions = {}): RedisScript {
  // The very first characters, or Redis does not see them.
  const lua = whenFull === 'run' ? `#!lua flags=allow-oom\n${body}` : body;
  const sha = createHash('sha1').update(lua).digest('hex');
  return async (redis, keys, args) => {
    const rest = [keys.length, ...keys, ...args];
    try {
      return await redis.call('EVALSHA', [sha, ...rest]);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return await redis.call('EVAL', [lua, ...rest]);
    }
  };
}
