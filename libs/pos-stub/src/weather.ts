import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';

/** What the API does instead of answering well. */
export const weatherModes = ['fine', 'unauthorized', 'too_many', 'error', 'unavailable', 'slow', 'hang', 'huge', 'broken', 'cut', 'wrong', 'html', 'refused', 'redirect', 'invalid_grant', 'short_lived'] as const;
export type WeatherMode = (typeof weatherModes)[number];

export const weatherSchema = z.strictObject({
  mode: z.enum(weatherModes),
  /** Which requests: of the API, or for tokens. */
  target: z.enum(['api', 'token', 'all']).default('api'),
  /** Only for paths that begin so. */
  path: z.string().default('/'),
  /** For so many requests; without it until it is changed. */
  times: z.int().positive().optional(),
  /** Of `slow`, milliseconds. */
  delay_ms: z.int().min(0).max(600_000).default(3_000),
  /** Of `too_many`; 0 = no Retry-After. */
  retry_after_s: z.int().min(0).max(86_400).default(30),
  /** Of `huge`, bytes. */
  bytes: z.int().min(1).max(1_073_741_824).default(67_108_864),
});
export type Weather = z.output<typeof weatherSchema>;

const SENTENCE = 'Hệ thống đang bảo trì';
const json = (res: ServerResponse, status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): void => {
  const text = JSON.stringify(body);
  res.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(text), ...headers }).end(text);
};
/** The form of the API's own errors. */
export const sendFailure = (res: ServerResponse, status: number, problem: { readonly errorCode: string; readonly message: string }, headers: Readonly<Record<string, string>> = {}): void => json(res, status, { responseStatus: { ...problem, errors: [] } }, headers);
export const sendJson = json;

function sendHuge(res: ServerResponse, bytes: number): void {
  const block = Buffer.alloc(65_536, 0x20);
  let left = bytes;
  res.writeHead(200, { 'content-type': 'application/json' });
  res.write('{"total":1,"pageSize":100,"data":[');
  const more = (): void => {
    while (left > 0 && !res.destroyed) {
      left -= block.length;
      if (!res.write(block)) return;
    }
    if (!res.destroyed) res.end(']}');
  };
  res.on('drain', more);
  more();
}

type Sender = (res: ServerResponse, weather: Weather, req: IncomingMessage) => void;

const senders: Readonly<Partial<Record<WeatherMode, Sender>>> = {
  unauthorized: (res) => sendFailure(res, 401, { errorCode: 'TokenException', message: 'Unauthorized' }),
  too_many: (res, { retry_after_s: seconds }) => sendFailure(res, 429, { errorCode: 'TooManyRequests', message: 'Request limit exceeded' }, seconds === 0 ? {} : { 'retry-after': String(seconds) }),
  error: (res) => void res.writeHead(500, { 'content-type': 'text/html' }).end('<h1>Server Error</h1>'),
  unavailable: (res) => void res.writeHead(503, { 'content-type': 'text/plain' }).end(SENTENCE),
  hang: () => undefined,
  huge: (res, { bytes }) => sendHuge(res, bytes),
  broken: (res) => void res.writeHead(200, { 'content-type': 'application/json' }).end('{"total":3,"pageSize":20,"data":[{"id":1001,"co'),
  cut: (res) => {
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': '5000' }).write('{"total":3,"data":[');
    setImmediate(() => res.destroy());
  },
  wrong: (res) => json(res, 200, { total: 'many', pageSize: 20, data: 'none' }),
  html: (res) => void res.writeHead(200, { 'content-type': 'text/html' }).end(`<p>${SENTENCE}</p>`),
  refused: (res) => sendFailure(res, 420, { errorCode: 'KvValidateException', message: 'Gian hàng đã hết hạn' }),
  redirect: (res, _weather, req) => void res.writeHead(302, { location: `http://${req.headers.host ?? ''}/_stub/trap` }).end(),
  invalid_grant: (res) => json(res, 400, { error: 'invalid_grant' }),
};

export interface Sky {
  set(weather: Weather): void;
  readonly now: Weather;
  /** Deals with the request where the weather is bad for it: true = it was answered, or never will be. */
  meet(req: IncomingMessage, res: ServerResponse, path: string, isToken: boolean): Promise<boolean>;
  /** Counts against `times`: do tokens end at once? */
  isShortLived(): boolean;
}

export function createSky(first: Weather): Sky {
  let weather = first;
  let left = first.times ?? Infinity;
  const use = (): void => {
    left -= 1;
    if (left <= 0) weather = weatherSchema.parse({ mode: 'fine' });
  };
  const isFor = (path: string, isToken: boolean): boolean => (weather.target === 'all' || (weather.target === 'token') === isToken) && path.startsWith(weather.path);
  return {
    set(next) {
      weather = next;
      left = next.times ?? Infinity;
    },
    get now() { return weather; },
    async meet(req, res, path, isToken) {
      const { mode } = weather;
      if (mode === 'fine' || mode === 'short_lived' || !isFor(path, isToken)) return false;
      const current = weather;
      use();
      if (mode === 'slow') {
        await delay(current.delay_ms);
        return false;
      }
      senders[mode]?.(res, current, req);
      return true;
    },
    isShortLived() {
      if (weather.mode !== 'short_lived') return false;
      use();
      return true;
    },
  };
}
