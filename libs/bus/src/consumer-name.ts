const inUse = new Set<string>();

/**
 * A consumer's name in its group: the given one, or with a number where this process uses it already. The same names come out after a
 * restart that subscribes in the same order, so a restarted process finds its own pending entries.
 */
export function takeConsumerName(stream: string, group: string, wanted: string): { readonly name: string; release(): void } {
  const slot = (name: string): string => JSON.stringify([stream, group, name]);
  let name = wanted;
  for (let number = 2; inUse.has(slot(name)); number += 1) name = `${wanted}-${number}`;
  inUse.add(slot(name));
  return { name, release: () => void inUse.delete(slot(name)) };
}
