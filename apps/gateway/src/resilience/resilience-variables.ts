import { z } from 'zod';

/** Variables of what protects the gateway and the services behind it. */
export const resilienceVariables = {
  UPSTREAM_RETRY_PERCENT: z.coerce.number().int().min(0).max(100).default(10).describe('Calls to a service that may be repeated, of each hundred of the last 10 s; 0 = none'),
  SHED_LAG_MS: z.coerce.number().int().min(0).max(10_000).default(100).describe('Calls are refused (503) while the event loop lags by more than this, in milliseconds; 0 = never'),
  HTTP_MAX_CONNECTIONS: z.coerce.number().int().min(1).max(1_000_000).default(8_192).describe('Connections at once; more are closed unanswered'),
  HTTP_BODY_BYTES: z.coerce.number().int().min(1_048_576).max(68_719_476_736).default(134_217_728).describe('Bytes of all bodies that are held at once until their calls are answered, without uploads that are streamed; more are refused (503)'),
  HTTP_CALLER_BODY_BYTES: z.coerce.number().int().min(1_048_576).max(68_719_476_736).default(33_554_432).describe('The same of one caller; calls without a key, whose body is signed, are one'),
  HTTP_HEADERS_TIMEOUT_MS: z.coerce.number().int().min(100).max(60_000).default(10_000).describe('Longest time for the head of a request to arrive'),
};
