import cors from 'cors';
import type { RequestHandler } from 'express';
import helmet from 'helmet';
import { EXPOSED_HEADERS } from './browser-cors.ts';
import { oneMeaning } from './one-meaning.ts';

/** Requests of one meaning, security headers, and CORS for the listed origins only. Swagger UI sets inline styles and shows data: images. */
export function security(origins: readonly string[]): readonly RequestHandler[] {
  return [
    oneMeaning,
    helmet({ contentSecurityPolicy: { directives: { 'style-src': ["'self'", "'unsafe-inline'"], 'img-src': ["'self'", 'data:'], 'upgrade-insecure-requests': null } } }),
    cors({
      origin: [...origins],
      methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
      allowedHeaders: ['Content-Type', 'X-Api-Key', 'Authorization', 'If-Match', 'If-None-Match', 'Cache-Control', 'Idempotency-Key', 'X-Request-Id', 'X-User-Id', 'Last-Event-ID', 'MCP-Protocol-Version', 'Mcp-Method', 'Mcp-Name', 'traceparent'],
      exposedHeaders: [...EXPOSED_HEADERS],
      maxAge: 600,
    }),
  ];
}
