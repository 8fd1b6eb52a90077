import type { Operation } from '@millrace/contracts';
import { AppError, every } from '@millrace/service';
import type { Logger } from '@millrace/service';
import type { Request, Response } from 'express';
import type { KeyMemory } from '../key-cache.ts';
import type { KeyOwner } from '../key.repository.ts';
import type { Policy } from '../policy.ts';

export interface OpenFeedsDeps {
  /** Who sent the request, asked again; throws unauthenticated where that key or token does not count any more. */
  readonly identify: (req: Request, operation: Operation) => Promise<KeyOwner>;
  readonly logger: Logger;
  readonly everyMs?: number;
}

/** Answers that do not end by themselves end with their key: at once where its change is heard of, else within 30 s (revoked, expired, without the scope). Their clients come again. */
export interface OpenFeeds extends KeyMemory {
  readonly policy: Policy;
  close(): void;
}

interface OpenFeed {
  readonly req: Request;
  readonly operation: Operation;
  readonly ownerId: string;
}

const RECHECK_MS = 30_000;

export function createOpenFeeds({ identify, logger, everyMs = RECHECK_MS }: OpenFeedsDeps): OpenFeeds {
  const open = new Map<Response, OpenFeed>();
  const isAllowed = async ({ req, operation }: OpenFeed): Promise<boolean> => {
    try {
      return (await identify(req, operation)).scopes.includes(operation.scope);
    } catch (error) {
      // Whoever cannot be asked now has not said no.
      return !(error instanceof AppError && error.code === 'unauthenticated');
    }
  };
  const recheck = async (): Promise<void> => {
    for (const [res, feed] of open) if (!(await isAllowed(feed))) res.destroy();
  };
  return {
    policy: (operation, answer) => {
      if (operation.isFeed !== true) return answer;
      return (call) => {
        open.set(call.res, { req: call.req, operation, ownerId: call.owner.id });
        call.res.once('close', () => open.delete(call.res));
        return answer(call);
      };
    },
    forget(keyIds) {
      for (const [res, { ownerId }] of open) if (keyIds.has(ownerId)) res.destroy();
    },
    // Changes may have been missed: those that are still allowed stay.
    forgetAll: () => void recheck(),
    close: every(everyMs, { what: 'feeds of keys', logger }, recheck),
  };
}
