import type { Operation } from '../operation.ts';
import { adminOperations } from './admin.ts';
import { analyticsOperations } from './analytics.ts';
import { cacheOperations } from './cache.ts';
import { driftOperations } from './drift.ts';
import { erasureOperations } from './erasures.ts';
import { eventOperations } from './events.ts';
import { experimentOperations } from './experiments.ts';
import { auditOperations, keyOperations } from './keys.ts';
import { mcpOperations } from './mcp.ts';
import { merchantOperations } from './merchants.ts';
import { pageOperations } from './pages.ts';
import { planOperations } from './plans.ts';
import { posOperations } from './pos.ts';
import { productOperations } from './products.ts';
import { quarantineOperations } from './quarantine.ts';
import { rebuildOperations } from './rebuilds.ts';
import { recommendationCountOperations } from './recommendation-counts.ts';
import { recommendationOperations } from './recommendations.ts';
import { relevanceOperations } from './relevance.ts';
import { searchOperations } from './search.ts';
import { searchCountOperations } from './searches.ts';
import { sessionOperations } from './sessions.ts';
import { subscriberAnalyticsOperations } from './subscriber-analytics.ts';
import { eraseSubscribersOperation } from './subscriber-erasure.ts';
import { segmentOperations } from './segments.ts';
import { subscriberOperations } from './subscribers.ts';
import { deadLetterOperations, streamOperations } from './streams.ts';
import { traceOperations } from './trace.ts';

export * from './admin.ts';
export * from './analytics.ts';
export * from './cache.ts';
export * from './drift.ts';
export * from './erasures.ts';
export * from './events.ts';
export * from './experiments.ts';
export * from './interaction-export.ts';
export * from './internal.ts';
export * from './keys.ts';
export * from './mcp.ts';
export * from './merchants.ts';
export * from './pages.ts';
export * from './plans.ts';
export * from './pos.ts';
export * from './products.ts';
export * from './quarantine.ts';
export * from './rebuilds.ts';
export * from './recommendation-counts.ts';
export * from './recommendations.ts';
export * from './relevance.ts';
export * from './search.ts';
export * from './searches.ts';
export * from './segment-query.ts';
export * from './segments.ts';
export * from './sessions.ts';
export * from './streams.ts';
export * from './subscriber-analytics.ts';
export * from './subscriber-erasure.ts';
export * from './subscribers.ts';
export * from './trace.ts';

/** Every public operation of Millrace. */
export const operations: readonly Operation[] = [
  ...productOperations, ...merchantOperations, ...searchOperations, ...relevanceOperations, ...searchCountOperations,
  ...eventOperations, ...quarantineOperations, ...erasureOperations, ...recommendationOperations, ...recommendationCountOperations, ...experimentOperations, ...analyticsOperations, ...subscriberOperations, ...segmentOperations, ...subscriberAnalyticsOperations, eraseSubscribersOperation, ...posOperations,
  ...keyOperations, ...auditOperations, ...mcpOperations,
  ...adminOperations, ...driftOperations, ...rebuildOperations, ...traceOperations, ...streamOperations, ...deadLetterOperations, ...cacheOperations, ...sessionOperations, ...planOperations, ...pageOperations,
];
