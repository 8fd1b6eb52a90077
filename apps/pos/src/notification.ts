import { createHash } from 'node:crypto';
import { z } from 'zod';

/** What a notification says to look at. Nothing else of it is kept: it may hold people. */
export interface Notification {
  /** The sender's own id, the same when it is sent again; where it has none, a hash of the body. */
  readonly id: string;
  /** Products of the POS to read again. */
  readonly posIds: readonly number[];
  /** Ids without a word of what they are of: only those that are linked can be ours. */
  readonly unknownIds: readonly number[];
}

const MOST_IDS = 10_000;
const posId = z.int().positive();
const itemSchema = z.union([posId, z.object({ ProductId: posId }).transform(({ ProductId }) => ProductId), z.object({ Id: posId }).transform(({ Id }) => Id)]);
const bodySchema = z.looseObject({
  Id: z.union([z.string().min(1).max(200), z.number()]).optional(),
  Notifications: z.array(z.looseObject({ Action: z.string(), Data: z.unknown() })).optional(),
  RemoveId: z.array(z.unknown()).optional(),
});
const OF_PRODUCTS = /^(product|stock)\.(update|delete)(\.|$)/;

const idsOf = (items: unknown): number[] => (Array.isArray(items) ? items : [items]).flatMap((item: unknown) => itemSchema.safeParse(item).data ?? []);

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}

/**
 * Reads a body that was signed. One that is of no known form is an empty notification: an answer of 4xx would make KiotViet stop sending (2.11 of its
 * documentation). Deletions are documented without a word of what was deleted ({"RemoveId": […]}).
 */
export function readNotification(body: Buffer): Notification {
  const hash = `sha256:${createHash('sha256').update(body).digest('hex')}`;
  const parsed = bodySchema.safeParse(parse(body));
  if (!parsed.success) return { id: hash, posIds: [], unknownIds: [] };
  const { Id: id, Notifications: notifications = [], RemoveId: removed = [] } = parsed.data;
  const posIds = notifications.filter(({ Action: action }) => OF_PRODUCTS.test(action)).flatMap(({ Data: data }) => idsOf(data));
  return { id: id === undefined ? hash : `id:${id}`, posIds: [...new Set(posIds)].slice(0, MOST_IDS), unknownIds: [...new Set(idsOf(removed))].slice(0, MOST_IDS) };
}
