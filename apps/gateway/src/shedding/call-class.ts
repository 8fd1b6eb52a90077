import { repetitions } from '@millrace/contracts';
import type { Operation } from '@millrace/contracts';

/** What is refused first to last when the gateway is overloaded. `never`: who operates it must be able to look and to act just then. */
export type CallClass = 'reads' | 'writes' | 'events' | 'never';

/** In the order in which they are refused. */
export const shedOrder = ['reads', 'writes', 'events'] as const;

const OPERATORS = new Set<Operation['scope']>(['ops', 'admin', 'users:erase']);

/** By operationId: an event that is refused is a visit that is lost, so these are refused last. */
export const classRules: Readonly<Record<string, CallClass>> = { logEvent: 'events', logEvents: 'events', postImpressions: 'events', receivePosNotification: 'events' };

/** Throws where a rule names an operation that there is none of. */
export function createClassTable(operations: readonly Operation[], rules = classRules): (operation: Operation) => CallClass {
  const known = new Set(operations.map(({ operationId }) => operationId));
  const unknown = Object.keys(rules).find((id) => !known.has(id));
  if (unknown !== undefined) throw new Error(`the classes of shedding name the unknown operation ${unknown}`);
  return ({ operationId, scope, method }) => rules[operationId] ?? (OPERATORS.has(scope) ? 'never' : method === 'get' || repetitions[operationId] === 'read' ? 'reads' : 'writes');
}
