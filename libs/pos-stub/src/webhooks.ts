import { createHmac, randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

export interface Webhook { readonly id: number; readonly type: string; readonly url: string; readonly secret: string | undefined; readonly description: string }

/** X-Hub-Signature of a body: HMAC-SHA-256 (RFC 2104) in hex. */
export const signatureOf = (body: string | Buffer, secret: string): string => createHmac('sha256', secret).update(body).digest('hex');

const TIMEOUT_MS = 5_000;
const ATTEMPTS = 3;

/** Sends a notification as 2.11 of the documentation has it: the whole body signed, five seconds for an answer, the same Id with a higher Attempt where there was none. */
export async function notify(webhook: Webhook, action: string, data: readonly unknown[], { retailerId, retryMs = 200 }: { readonly retailerId: number; readonly retryMs?: number }): Promise<number | undefined> {
  const id = randomUUID();
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const body = JSON.stringify({ Id: id, Attempt: attempt, Notifications: [{ Action: `${action}.${retailerId}`, Data: data }] });
    const headers = { 'content-type': 'application/json', ...(webhook.secret !== undefined && { 'x-hub-signature': `sha256=${signatureOf(body, webhook.secret)}` }) };
    const status = await fetch(webhook.url, { method: 'POST', headers, body, signal: AbortSignal.timeout(TIMEOUT_MS) }).then((answer) => answer.status, () => undefined);
    if (status !== undefined && status < 500) return status;
    await delay(retryMs * attempt);
  }
  return undefined;
}
