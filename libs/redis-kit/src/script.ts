import { createHash } from 'node:crypto';
import { isCluster } from './redis.ts';
import type { Redis } from './redis.ts';

/** Runs a script atomically on the given connection; on a cluster where its keys are, so they share a hash tag and there is at least one. The reply is unparsed. */
export type RedisScript = (redis: Redis, keys: readonly string[], args: readonly (string | number | Buffer)[]) => Promise<unknown>;

export interface ScriptOptions {
  /** On a server without memory left: `refuse` (OOM), or `run` all the same: for scripts that make room, or that keep consumers going meanwhile. */
  readonly whenFull?: 'refuse' | 'run';
  /** Texts of the reply as strings (default), or as bytes. */
  readonly replies?: 'text' | 'bytes';
  /** Calls that are made in one turn of the event loop leave in one write at its end (not on a cluster): for scripts that many requests call. */
  readonly isJoined?: boolean;
}

/** What is sent on this connection until the event loop looks at its sockets again leaves in one system call, in its order. Does nothing on a cluster. */
function joinWrites(redis: Redis): void {
  if (isCluster(redis) || redis.status !== 'ready') return;
  const { stream } = redis;
  if (stream.writableCorked > 0) return;
  stream.cork();
  setImmediate(() => stream.uncork());
}

/**
 * A Lua script, sent by its hash and sent whole only where the server does not know it yet (a restart, a flush of scripts,
 * another node), so callers never see NOSCRIPT.
 */
export function defineScript(body: string, { whenFull = 'refuse', replies = 'text', isJoined = false }: ScriptOptions = {}): RedisScript {
  // The very first characters, or Redis does not see them.
  const lua = whenFull === 'run' ? `#!lua flags=allow-oom\n${body}` : body;
  const sha = createHash('sha1').update(lua).digest('hex');
  const send = (redis: Redis, command: string, args: (string | number | Buffer)[]): Promise<unknown> => (replies === 'bytes' ? redis.callBuffer(command, args) : redis.call(command, args));
  return async (redis, keys, args) => {
    const rest = [keys.length, ...keys, ...args];
    if (isJoined) joinWrites(redis);
    try {
      return await send(redis, 'EVALSHA', [sha, ...rest]);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return await send(redis, 'EVAL', [lua, ...rest]);
    }
  };
}
