import { liveFeed } from '@millrace/contracts';
import { route } from '@millrace/http';
import { AppError } from '@millrace/service';
import { Router } from 'express';
import type { Response } from 'express';
import type { LiveFeed, LiveSink } from './live-feed.ts';

export interface LiveRoutesDeps {
  readonly feed: LiveFeed;
  readonly maxClients: number;
  /** Reads the topics while there are clients. Called when one comes, and when one goes. */
  readonly onClients: () => void;
}

/** A client comes again after so long, with its key: one that was revoked does not look on for ever. */
const MAX_AGE_MS = 900_000;

/** With it a key may read contexts by user id, so it may see user ids here. */
const PERSONAL = 'events:read';

function sinkOf(res: Response): LiveSink {
  return {
    write: (text) => void res.write(text),
    waiting: () => res.writableLength,
    // What waits for a slow client is thrown away with its connection.
    end: (reason) => void (reason === 'slow' ? res.destroy() : res.end()),
  };
}

/** `GET /api/live`. */
export function liveRoutes({ feed, maxClients, onClients }: LiveRoutesDeps): Router {
  const router = Router();
  route(router, liveFeed, async ({ query, identity, req, res }) => {
    if (feed.clients >= maxClients) throw new AppError('unavailable', `${maxClients} clients follow the live feed of this instance already: try again later`, { headers: { 'Retry-After': '10' } });
    res.status(200).set({ 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' });
    // HEAD: there is nothing to wait for.
    if (req.method !== 'GET') return void res.end();
    res.flushHeaders();
    const leave = feed.join({
      sink: sinkOf(res), types: query.types && new Set(query.types), isPersonal: identity.scopes.includes(PERSONAL), lastEventId: req.get('last-event-id'),
    });
    const over = setTimeout(() => res.end(), MAX_AGE_MS);
    res.once('close', () => {
      clearTimeout(over);
      leave();
      onClients();
    });
    onClients();
    return undefined;
  });
  return router;
}
