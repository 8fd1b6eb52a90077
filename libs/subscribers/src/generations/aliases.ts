import { masterNodes, scanKeys, sendByNode } from '@millrace/redis-kit';
import type { KeyedCommand, Keys, Redis } from '@millrace/redis-kit';

/** `ut360:12:rec:0912…` is `ut360:rec:0912…` for readers that know of no generations; undefined for keys that have no such name. */
function aliasOf(key: string, generation: number): string | undefined {
  const rest = key.slice(`ut360:${generation}:`.length);
  return /^(\{b\d+\}:)?(rec|profile|idx|meta):/.test(rest) ? `ut360:${rest}` : undefined;
}

const sourceOf = (alias: string, generation: number): string => `ut360:${generation}:${alias.slice('ut360:'.length)}`;
const isPointer = (key: string): boolean => key.endsWith(':current');

/**
 * Copies a generation to the keys without a number, one key after the other (COPY, Redis 6.2), then removes those that it does not have. Their
 * readers see both generations for as long as it takes: whoever must not asks the service. Takes the memory of one more generation.
 */
export async function copyAliases(redis: Redis, keys: Keys, generation: number): Promise<number> {
  let copied = 0;
  for await (const page of scanKeys(masterNodes(redis), keys.subscribers(generation).pattern)) {
    const commands = page.flatMap((key): KeyedCommand[] => {
      const alias = aliasOf(key, generation);
      return alias === undefined ? [] : [{ key, name: 'COPY', args: [key, alias, 'REPLACE'] }];
    });
    await sendByNode(redis, commands);
    copied += commands.length;
  }
  for await (const page of scanKeys(masterNodes(redis), keys.subscribers().pattern)) {
    const aliases = page.filter((key) => !isPointer(key));
    const there = await sendByNode(redis, aliases.map((key) => ({ key, name: 'EXISTS', args: [sourceOf(key, generation)] })));
    await sendByNode(redis, aliases.filter((_key, at) => there[at] === 0).map((key) => ({ key, name: 'UNLINK', args: [key] })));
  }
  return copied;
}
