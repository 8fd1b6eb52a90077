import { segmentNumberFields } from '@millrace/contracts';
import type { SegmentColumn, SegmentComparison, SegmentCondition, SegmentQuery } from '@millrace/contracts';
import type { RowOrder } from './order-rows.ts';

export interface Sql {
  readonly text: string;
  readonly values: readonly unknown[];
}

const isNumber = (field: string): boolean => segmentNumberFields.some((name) => name === field);
const OPERATORS: Readonly<Record<'eq' | SegmentComparison, string>> = { eq: '=', gte: '>=', gt: '>', lte: '<=', lt: '<' };

/** A column as it is compared and answered: numbers are doubles, in memory and here. */
export const columnSql = (column: SegmentColumn): string => (isNumber(column) ? `${column}::float8` : column);

function conditionSql(condition: SegmentCondition, values: unknown[]): string {
  const column = columnSql(condition.field);
  if (condition.op === 'is_null') return `${condition.field} is null`;
  const type = isNumber(condition.field) ? 'float8' : 'text';
  const value = (given: unknown): string => `$${values.push(given)}::${type}`;
  if (condition.op === 'in') return `${column} = any(${value(condition.value)}[])`;
  if (condition.op === 'between') return `${column} between ${value(condition.value[0])} and ${value(condition.value[1])}`;
  return `${column} ${OPERATORS[condition.op]} ${value(condition.value)}`;
}

function nodeSql(query: SegmentQuery, values: unknown[]): string {
  if ('not' in query) return `not (${nodeSql(query.not, values)})`;
  if ('and' in query) return `(${query.and.map((part) => nodeSql(part, values)).join(' and ')})`;
  if ('or' in query) return `(${query.or.map((part) => nodeSql(part, values)).join(' or ')})`;
  return conditionSql(query, values);
}

/** The condition of WHERE. Names are our own, everything else is a parameter. */
export function whereSql(query: SegmentQuery): Sql {
  const values: unknown[] = [];
  return { text: nodeSql(query, values), values };
}

/** Texts and ISDNs by bytes, absent values last, equal ones by ISDN. */
export const orderSql = (order: readonly RowOrder[]): string => [...order.map(({ field, direction }) => `${isNumber(field) ? columnSql(field) : `${field} collate "C"`} ${direction} nulls last`), 'isdn'].join(', ');
