import type { z } from 'zod';
import type { AnswerCache } from './answer-cache.ts';
import { laneOf } from './budget.ts';
import type { Asker, BudgetState } from './budget.ts';
import { endpoints } from './endpoints.ts';
import type { Endpoint } from './endpoints.ts';
import { parsePage, posProductSchema } from './schemas.ts';
import type { PosPage, PosProduct } from './schemas.ts';
import { isPosQuota } from './errors.ts';
import { createSender } from './sender.ts';
import type { Connection, Params, SenderDeps } from './sender.ts';

export interface KiotvietDeps extends SenderDeps {
  readonly cache: AnswerCache;
}

export type ItemOf<E extends Endpoint> = z.output<(typeof endpoints)[E]['schema']>;

export interface Kiotviet {
  /** One page. Kept answers are used for callers only; who asks what another one is asking waits for that call, which is the other's; where the other may not call, it is made anew. Rejects with a pos error, or unavailable where Redis cannot count the call. */
  list<E extends Endpoint>(endpoint: E, params: Params, asker: Asker): Promise<PosPage<ItemOf<E>>>;
  /** With its stock; undefined where the POS does not have it (any more). */
  product(id: number, asker: Asker): Promise<PosProduct | undefined>;
  /** Products or stock have changed: nothing older is answered from now on. */
  changed(): Promise<void>;
  connection(): Connection;
  budget(): Promise<BudgetState>;
}

/** A call that is on its way, and whose budget it is taken of. */
interface Flight {
  readonly by: string;
  readonly page: Promise<PosPage<unknown>>;
}

/** Undefined where it is no JSON; JSON has no undefined. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** KiotViet's public API, read only: pages and products, parsed, of an answer that may be kept. What is sent is sent as `createSender` says. */
export function createKiotviet(deps: KiotvietDeps): Kiotviet {
  const { cache, budget, onEvent = () => undefined } = deps;
  const sender = createSender(deps);
  const read = <S extends z.ZodType>(endpoint: string, schema: S, text: string | undefined): PosPage<z.output<S>> => {
    if (text === undefined) throw sender.unreadable(endpoint, 'it does not know its own list (404)');
    const value = jsonOf(text);
    if (value === undefined) throw sender.unreadable(endpoint, 'it is not JSON');
    const page = parsePage(schema, value);
    if (!page) throw sender.unreadable(endpoint, 'it is no list of the documented form');
    return page;
  };

  const flights = new Map<string, Flight>();
  const fetchPage = async (endpoint: Endpoint, params: Params, asker: Asker): Promise<PosPage<unknown>> => {
    const { path, schema, keepMs } = endpoints[endpoint];
    const name = JSON.stringify(Object.entries(params).toSorted(([a], [b]) => (a < b ? -1 : 1)));
    const isKept = keepMs > 0 && laneOf(asker) === 'caller';
    const { value, epoch } = isKept ? await cache.get(endpoint, name) : { value: undefined, epoch: undefined };
    const kept = value === undefined ? undefined : parsePage(schema, value);
    if (kept) {
      onEvent(endpoint, 'cached');
      return kept;
    }
    const page = read(endpoint, schema, await sender.get(endpoint, path, params, asker));
    // What could not be read is asked for again.
    if (isKept && page.unreadable.length === 0) await cache.set(endpoint, name, { value: { data: page.data, total: page.total, removedIds: page.removedIds }, epoch, keepMs });
    return page;
  };
  return {
    async list(endpoint, params, asker) {
      const by = JSON.stringify(asker);
      const join = (name: string): Flight => {
        const flight = flights.get(name) ?? { by, page: fetchPage(endpoint, params, asker).finally(() => flights.delete(name)) };
        flights.set(name, flight);
        return flight;
      };
      // Callers that ask the same at the same time share one call.
      const shared = `${laneOf(asker)} ${endpoint} ${JSON.stringify(params)}`;
      const flight = join(shared);
      const page = await flight.page.catch((error: unknown) => {
        // That the share of whoever began is used up says nothing of this one's.
        if (flight.by === by || !isPosQuota(error)) throw error;
        return join(`${shared} ${by}`).page;
      });
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- parsed by the very schema that ItemOf is made of
      return page as PosPage<ItemOf<typeof endpoint>>;
    },
    async product(id, asker) {
      const text = await sender.get('product', `/products/${id}`, {}, asker);
      if (text === undefined) return undefined;
      const parsed = posProductSchema.safeParse(jsonOf(text));
      if (!parsed.success) throw sender.unreadable('product', 'it is no product of the documented form');
      return parsed.data;
    },
    changed: () => cache.drop(['products', 'stock']),
    connection: () => sender.connection(),
    budget: () => budget.state(),
  };
}
