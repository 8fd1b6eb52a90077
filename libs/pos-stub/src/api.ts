import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import type { AdminDeps } from './admin.ts';
import { RETAILER_ID, toProductDocument } from './documents.ts';
import { lists } from './list.ts';
import { parseJson } from './read-body.ts';
import { sendFailure, sendJson } from './weather.ts';

export interface Credentials { readonly clientId: string; readonly clientSecret: string; readonly retailer: string }

export interface ApiDeps extends AdminDeps {
  readonly credentials: Credentials;
  readonly tokenSeconds: number;
}

/** POST /connect/token: the client-credentials grant of RFC 6749, with KiotViet's `scopes`. */
export function answerToken({ credentials, tokens, tokenSeconds, sky }: ApiDeps, text: string, res: ServerResponse): void {
  const form = new URLSearchParams(text);
  if (form.get('grant_type') !== 'client_credentials') return sendJson(res, 400, { error: 'unsupported_grant_type' });
  if (form.get('scopes') !== 'PublicApi.Access') return sendJson(res, 400, { error: 'invalid_scope' });
  if (form.get('client_id') !== credentials.clientId || form.get('client_secret') !== credentials.clientSecret) return sendJson(res, 400, { error: 'invalid_client' });
  const seconds = sky.isShortLived() ? 1 : tokenSeconds;
  sendJson(res, 200, { access_token: tokens.issue(seconds), expires_in: seconds, token_type: 'Bearer' });
}

function isAllowed({ credentials, tokens }: ApiDeps, req: IncomingMessage): boolean {
  const token = /^Bearer (.+)$/.exec(req.headers.authorization ?? '')?.[1];
  return token !== undefined && tokens.isValid(token) && req.headers['retailer'] === credentials.retailer;
}

function answerGet(deps: ApiDeps, path: string, query: URLSearchParams, res: ServerResponse): void {
  const list = lists[path];
  if (list) return sendJson(res, 200, list(deps.shop, query));
  const one = /^\/products\/(?:code\/([^/]+)|(\d+))$/.exec(path);
  const product = one && [...deps.shop.products.values()].find(({ id, code }) => (one[2] === undefined ? code === decodeURIComponent(one[1] ?? '') : id === Number(one[2])));
  if (product) return sendJson(res, 200, toProductDocument(product, { withInventory: true }));
  if (path === '/webhooks') return sendJson(res, 200, { total: deps.webhooks.size, pageSize: 20, data: [...deps.webhooks.values()].map(({ secret: _secret, ...shown }) => ({ ...shown, isActive: true, retailerId: RETAILER_ID })) });
  sendFailure(res, 404, { errorCode: 'NotFoundException', message: 'Không tìm thấy dữ liệu' });
}

const newWebhook = z.object({ Webhook: z.object({ Type: z.string(), Url: z.url(), IsActive: z.boolean().default(true), Description: z.string().default(''), Secret: z.string().optional() }) });

function answerWrite({ webhooks }: ApiDeps, { method, path, text }: { readonly method: string; readonly path: string; readonly text: string }, res: ServerResponse): void {
  const id = /^\/webhooks\/(\d+)$/.exec(path)?.[1];
  if (method === 'DELETE' && id !== undefined && webhooks.delete(Number(id))) return sendJson(res, 200, { message: 'Hủy đăng ký webhook thành công' });
  if (method !== 'POST' || path !== '/webhooks') return sendFailure(res, 404, { errorCode: 'NotFoundException', message: 'Không tìm thấy dữ liệu' });
  const parsed = newWebhook.safeParse(parseJson(text));
  if (!parsed.success) return sendFailure(res, 420, { errorCode: 'KvValidateException', message: z.prettifyError(parsed.error) });
  const { Type: type, Url: url, Description: description, Secret: secret } = parsed.data.Webhook;
  const webhook = { id: 1 + Math.max(0, ...webhooks.keys()), type, url, description, secret };
  webhooks.set(webhook.id, webhook);
  sendJson(res, 200, { id: webhook.id, type, url, description, isActive: true, retailerId: RETAILER_ID });
}

/** The API itself: the token, the shop's name, the hour's GETs, then the documented answer. */
export function answerApi(deps: ApiDeps, req: IncomingMessage, { url, text }: { readonly url: URL; readonly text: string }, res: ServerResponse): void {
  const method = req.method ?? 'GET';
  const isCounted = method !== 'GET' || deps.hours.count();
  if (!isCounted) return sendFailure(res, 429, { errorCode: 'TooManyRequests', message: 'Vượt quá giới hạn 5000 request/1h' }, { 'retry-after': '60' });
  if (!isAllowed(deps, req)) return sendFailure(res, 401, { errorCode: 'TokenException', message: 'Unauthorized' });
  if (method === 'GET') return answerGet(deps, url.pathname, url.searchParams, res);
  answerWrite(deps, { method, path: url.pathname, text }, res);
}
