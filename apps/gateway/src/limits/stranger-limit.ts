import { BlockList } from 'node:net';
import { AppError } from '@millrace/service';
import type { Request } from 'express';
import { LRUCache } from 'lru-cache';
import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';
import type { KeyOwner } from '../key.repository.ts';
import { clientAddress } from './client-address.ts';
import { stepLocally } from './gcra.ts';
import { policyHeader, retryAfterHeader, stateHeader } from './limit-headers.ts';
import type { Limit } from './limit-table.ts';

type Identify = (req: Request, identify: () => Promise<KeyOwner>) => Promise<KeyOwner>;

export interface GuardCallers {
  /** Who calls, as `identify` says; throws what that throws, or rate_limited. */
  (...call: Parameters<Identify>): ReturnType<Identify>;
  /** An answer to a call without a key whose service looks for itself who sent it (a signed body): it counts as a call of a stranger from before its body is read, until it is answered 2xx. Throws rate_limited where the address has made too many. */
  signed<T extends { readonly status: number } | undefined>(req: Request, answer: () => Promise<T>): Promise<T>;
}

export interface StrangerLimitDeps {
  /** Calls of an address in a minute, at once too, that bring no key or token that is valid. */
  readonly perMinute: number;
  /** Default: none. */
  readonly trustedProxies?: BlockList | undefined;
  /** Was this key valid here a while ago? */
  readonly isKnownKey: (key: string) => boolean;
  readonly metrics: Registry;
  readonly nowMs?: () => number;
}

const ADDRESSES = 10_000;
const WINDOW_SECONDS = 60;

const keyOf = (req: Request): string | undefined => req.get('x-api-key') ?? new URLSearchParams(req.originalUrl.split('?').slice(1).join('?')).get('key') ?? undefined;

/**
 * A limit by address, in this process' memory, for calls that nobody answers for: whoever tries keys costs the database nothing after that. Keys that were
 * valid here within the hour, and tokens, are looked at all the same: others behind the same address go on working.
 */
export function createStrangerLimit({ perMinute, trustedProxies = new BlockList(), isKnownKey, metrics, nowMs = () => performance.now() }: StrangerLimitDeps): GuardCallers {
  const limit: Limit = { name: 'strangers', kind: 'refill', by: 'address', quota: perMinute, windowSeconds: WINDOW_SECONDS };
  const tats = new LRUCache<string, number>({ max: ADDRESSES });
  const refused = new Counter({ name: 'rate_limit_strangers_refused_total', help: 'Calls without a valid key or token that were refused because their address had made too many', registers: [metrics] });
  const intervalUs = (WINDOW_SECONDS * 1_000_000) / perMinute;
  const stepOf = (address: string) => stepLocally(tats.get(address), nowMs() * 1_000, { burst: perMinute, intervalUs, cost: 1 });
  const refuse = (waitMs: number): never => {
    refused.inc();
    const state = { limit, remaining: 0, moreInMs: waitMs };
    throw new AppError('rate_limited', `too many calls without a valid key come from this address: try again in ${retryAfterHeader(state)} s`, {
      headers: { 'Retry-After': retryAfterHeader(state), 'RateLimit-Policy': policyHeader([limit]), RateLimit: stateHeader([state]) },
    });
  };
  const isWorthALook = (req: Request): boolean => {
    const key = keyOf(req);
    return key === undefined ? /^bearer /i.test(req.get('authorization') ?? '') : isKnownKey(key);
  };
  const check = (req: Request): void => {
    if (tats.size === 0) return;
    const { isAdmitted, waitMs } = stepOf(clientAddress(req, trustedProxies));
    if (!isAdmitted && !isWorthALook(req)) refuse(waitMs);
  };
  const count = (req: Request): void => {
    const address = clientAddress(req, trustedProxies);
    const { isAdmitted, tat, waitMs } = stepOf(address);
    tats.set(address, tat);
    if (!isAdmitted) refuse(waitMs);
  };
  const giveBack = (req: Request): void => {
    const address = clientAddress(req, trustedProxies);
    const tat = (tats.get(address) ?? 0) - intervalUs;
    if (tat > nowMs() * 1_000) tats.set(address, tat);
    else tats.delete(address);
  };
  const identified: Identify = async (req, identify) => {
    check(req);
    try {
      return await identify();
    } catch (error) {
      if (error instanceof AppError && error.code === 'unauthenticated') count(req);
      throw error;
    }
  };
  return Object.assign(identified, {
    signed: async <T extends { readonly status: number } | undefined>(req: Request, answer: () => Promise<T>): Promise<T> => {
      count(req);
      const whole = await answer();
      if (whole && whole.status >= 200 && whole.status < 300) giveBack(req);
      return whole;
    },
  });
}
