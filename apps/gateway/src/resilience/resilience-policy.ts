import { setTimeout as pause } from 'node:timers/promises';
import { AppError } from '@millrace/service';
import type { Answer, Answerer, Call, Cut, Policy } from '../policy.ts';
import { problemAnswer } from '../problem-answer.ts';
import { hasBody, readBody } from '../request-body.ts';
import { judgeAnswer, judgeError, mayRepeat } from './judge-try.ts';
import type { RetryBudget } from './retry-budget.ts';
import type { CallPlan } from './resilience-table.ts';
import type { ServiceBreaker, Tried } from './service-breaker.ts';

/** What the calls of one service share; never with those of another. */
export interface ServiceGuard {
  readonly breaker: ServiceBreaker;
  readonly budget: RetryBudget;
  readonly onRetry: () => void;
  readonly onNoBudget: () => void;
  readonly onRefused: () => void;
}

/** The second try comes up to so much later, evenly spread ("full jitter"). */
const JITTER_MS = 100;
/** Less time than this is not worth another try. */
const WORTH_MS = 50;
const RETRY_AFTER = { 'Retry-After': '1' };

const refuse = ({ service }: CallPlan, { requestId }: Call): Answer => ({
  ...problemAnswer(new AppError('unavailable', `${service} has failed again and again and is left alone for a moment: nothing was sent to it, try again`, { headers: RETRY_AFTER }), requestId),
  isUnsent: true,
});

/** Does nobody wait any more? */
const isGone = ({ res, isShared = false, outlivesCaller = false }: Call): boolean => !isShared && !outlivesCaller && res.closed;

function settle({ answer, error }: Tried): Answer | undefined {
  if (error !== undefined) throw error;
  return answer;
}

const createTry = (answer: Answerer, plan: CallPlan) => async (call: Call): Promise<Tried> => {
  try {
    const whole = await answer(call);
    if (whole) return judgeAnswer(whole);
    return { answer: undefined, says: call.res.headersSent || call.isShared === true ? 'alive' : 'nothing' };
  } catch (error) {
    return judgeError(error, plan);
  }
};

/** A read that is asked once more where that may help and the budget allows; whatever else is asked once more where nothing was sent. */
const askedTwice = (plan: CallPlan, guard: ServiceGuard, answer: Answerer): Answerer => {
  const { breaker, budget, onRetry, onNoBudget, onRefused } = guard;
  const attempt = createTry(answer, plan);
  const ask = (call: Call): Promise<Tried | undefined> => breaker.ask((isProbe) => attempt(isProbe ? { ...call, outlivesCaller: true } : call));
  const pay = (): boolean => {
    if (breaker.state() !== 'closed') return false;
    const isPaid = budget.take();
    (isPaid ? onRetry : onNoBudget)();
    return isPaid;
  };
  const askAgain = async (call: Call, untilMs: number, isPaid: boolean | undefined): Promise<Tried | undefined> => {
    await pause(Math.random() * JITTER_MS);
    const leftMs = Math.floor(untilMs - performance.now());
    return leftMs < WORTH_MS || isGone(call) || !(isPaid ?? pay()) ? undefined : ask({ ...call, timeoutMs: leftMs });
  };
  return async (call) => {
    // A slow caller is not a slow service.
    if (hasBody(call.req)) await readBody(call.req, call.res);
    const untilMs = performance.now() + plan.wholeMs;
    // What the budget said when the first try took too long.
    let isPaid: boolean | undefined;
    const cut: Cut | undefined = plan.firstTryMs === undefined ? undefined : { afterMs: plan.firstTryMs, isWorth: () => (isPaid = pay()) };
    const first = await breaker.ask((isProbe) => {
      budget.called();
      return attempt({ ...call, timeoutMs: plan.wholeMs, ...(isProbe ? { outlivesCaller: true } : cut && { cut }) });
    });
    if (!first) {
      onRefused();
      return refuse(plan, call);
    }
    return settle((mayRepeat(first, plan) && (await askAgain(call, untilMs, isPaid))) || first);
  };
};

/** Uploads, downloads and feeds are never repeated. */
const askedOnce = (plan: CallPlan, { breaker, onRefused }: ServiceGuard, answer: Answerer): Answerer => {
  const attempt = createTry(answer, plan);
  return async (call) => {
    const tried = await breaker.askLong(() => attempt({ ...call, timeoutMs: plan.wholeMs }));
    if (tried) return settle(tried);
    onRefused();
    return refuse(plan, call);
  };
};

/**
 * Around the services themselves, inside of everything that may answer instead of them (cache, stored answers). What this process answers itself passes.
 * Refusals are answers, not errors: they are not logged one by one.
 */
export const createResiliencePolicy = (planOf: (operationId: string) => CallPlan | undefined, guardOf: (service: string) => ServiceGuard): Policy => (operation, answer) => {
  const plan = planOf(operation.operationId);
  if (!plan) return answer;
  return (plan.isLong ? askedOnce : askedTwice)(plan, guardOf(plan.service), answer);
};
