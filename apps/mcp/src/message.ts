import { isNestedDeeper } from '@millrace/contracts';

const MAX_DEPTH = 32;

/** JSON-RPC 2.0, section 5.1, and the range that servers define. */
export const PARSE_ERROR = -32_700;
export const INVALID_REQUEST = -32_600;
export const METHOD_NOT_FOUND = -32_601;
export const INTERNAL_ERROR = -32_603;
export const SERVER_ERROR = -32_000;

/** An error instead of the SDK's: as JSON-RPC, with the status that HTTP has for it. */
export interface RpcError {
  readonly status: number;
  readonly code: number;
  readonly message: string;
  readonly id?: string | number | null;
}

export type RpcMessage = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is RpcMessage => typeof value === 'object' && value !== null && !Array.isArray(value);

export function idOf(message: unknown): string | number | null {
  const id: unknown = isObject(message) ? message['id'] : undefined;
  return (typeof id === 'string' && id.length <= 200) || typeof id === 'number' ? id : null;
}

function parse(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    // Said by the caller's error.
    return undefined;
  }
}

/** One message, or why it is refused before the protocol looks at it. Never throws. */
export function readMessage(body: Buffer): { readonly message: RpcMessage; readonly error?: undefined } | { readonly error: RpcError } {
  if (body.length === 0) return { error: { status: 400, code: PARSE_ERROR, message: 'the body is empty: send one JSON-RPC message' } };
  const parsed = parse(body.toString('utf8'));
  if (!parsed) return { error: { status: 400, code: PARSE_ERROR, message: 'the body is not valid JSON' } };
  if (Array.isArray(parsed.value)) return { error: { status: 400, code: INVALID_REQUEST, message: 'batches are not taken (the protocol dropped them): send one message a request' } };
  if (!isObject(parsed.value)) return { error: { status: 400, code: INVALID_REQUEST, message: 'a message is a JSON object' } };
  if (isNestedDeeper(parsed.value, MAX_DEPTH)) return { error: { status: 400, code: INVALID_REQUEST, message: `the message is nested deeper than ${MAX_DEPTH} levels`, id: idOf(parsed.value) } };
  if (parsed.value['method'] === 'subscriptions/listen') return { error: { status: 200, code: METHOD_NOT_FOUND, message: 'nothing here changes but answers of tools: there is nothing to subscribe to', id: idOf(parsed.value) } };
  return { message: parsed.value };
}
