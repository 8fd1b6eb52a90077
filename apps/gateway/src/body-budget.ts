import { AppError } from '@millrace/service';
import { Counter, Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Answerer, Call, Policy } from './policy.ts';
import { countBody, hasBody } from './request-body.ts';

export interface BodyBudgetOptions {
  /** Of all bodies that are held at once. */
  readonly totalBytes: number;
  /** Of those of one caller; calls of an operation without a key (a signed body) are one caller. */
  readonly callerBytes: number;
  readonly metrics: Registry;
}

const SENTENCES = {
  caller: 'the bodies of your calls that are not answered yet take all the room that one caller has: send fewer at once',
  gateway: 'the bodies of calls that are not answered yet take all the room that this gateway has: nothing was done, send it again',
} as const;

/**
 * Bodies that are read whole are in memory until their calls are answered: the bytes that have arrived are counted, and what would be too much is refused
 * (503) while it comes, and its connection ends. Bodies that are streamed do not count; a call without one passes.
 */
export function bodyBudget({ totalBytes, callerBytes, metrics }: BodyBudgetOptions): Policy {
  const ofCallers = new Map<string, number>();
  let held = 0;
  metrics.registerMetric(new Gauge({ name: 'request_body_bytes', help: 'Bytes of bodies that are held until their calls are answered', registers: [], collect() { this.set(held); } }));
  const refused = new Counter({ name: 'request_bodies_refused_total', help: 'Bodies refused because those of one caller, or of all, took the room that there is', labelNames: ['full'], registers: [metrics] });

  const add = (caller: string, bytes: number): void => {
    held += bytes;
    const left = (ofCallers.get(caller) ?? 0) + bytes;
    if (left === 0) ofCallers.delete(caller);
    else ofCallers.set(caller, left);
  };
  const refuse = (full: keyof typeof SENTENCES): AppError => {
    refused.inc({ full });
    return new AppError('unavailable', SENTENCES[full], { headers: { 'Retry-After': '1' } });
  };
  const open = ({ workspaceId, id }: Call['owner']) => {
    const caller = `${workspaceId} ${id}`;
    let own = 0;
    let isOver = false;
    return {
      take(bytes: number): AppError | undefined {
        if (isOver) return new AppError('malformed_body', 'the call was answered before its body had arrived');
        if (held + bytes > totalBytes) return refuse('gateway');
        if ((ofCallers.get(caller) ?? 0) + bytes > callerBytes) return refuse('caller');
        own += bytes;
        add(caller, bytes);
        return undefined;
      },
      release(): void {
        isOver = true;
        add(caller, -own);
        own = 0;
      },
    };
  };
  const answerWithin = async (call: Call, answer: Answerer): ReturnType<Answerer> => {
    const room = open(call.owner);
    const release = (): void => room.release();
    countBody(call.req, (bytes) => room.take(bytes));
    try {
      return await answer(call);
    } finally {
      // The request has its body for as long as there is a response to write.
      if (call.res.closed) release();
      else call.res.once('close', release);
    }
  };
  return (_operation, answer) => (call) => (hasBody(call.req) ? answerWithin(call, answer) : answer(call));
}
