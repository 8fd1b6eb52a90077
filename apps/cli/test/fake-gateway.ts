import { once } from 'node:events';
import { createServer } from 'node:http';
import { createProgram } from '../src/program.ts';
import { configSchema } from '../src/config.ts';

export interface Asked {
  /** Method and path with its query, as sent. */
  readonly path: string;
  /** Parsed where it was sent as JSON, else text. */
  readonly body: unknown;
}
export interface Said {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: unknown;
}

export interface FakeGateway {
  readonly url: string;
  /** What it was asked, in order; emptied by `forget`. */
  readonly asked: readonly Asked[];
  forget(): void;
  close(): void;
}

/** Answers the command line as a gateway would. */
export async function startFakeGateway(answer: (asked: Asked) => Said): Promise<FakeGateway> {
  const asked: Asked[] = [];
  const server = createServer((req, res) => {
    let text = '';
    req.on('data', (chunk: Buffer) => { text += chunk.toString(); });
    req.on('end', () => {
      const one: Asked = { path: `${req.method ?? ''} ${req.url ?? ''}`, body: text === '' ? undefined : req.headers['content-type'] === 'application/json' ? JSON.parse(text) : text };
      asked.push(one);
      const { status = 200, headers = {}, body } = answer(one);
      res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`,
    asked,
    forget: () => void asked.splice(0),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

export interface CommandRun {
  /** Printed lines. */
  readonly out: readonly string[];
  readonly err: readonly string[];
  /** What it failed by; undefined: it did not. */
  readonly failure: unknown;
}

/** `millrace <args>` against a gateway. */
export async function runCommand(url: string, args: readonly string[]): Promise<CommandRun> {
  const [out, err]: [string[], string[]] = [[], []];
  const config = configSchema.parse({ MILLRACE_URL: url, MILLRACE_API_KEY: 'mr_test' });
  const program = createProgram({ config, env: {}, print: (line) => void out.push(line), printError: (line) => void err.push(line) });
  const failure: unknown = await program.parseAsync([...args], { from: 'user' }).then(() => undefined, (error: unknown) => error);
  return { out, err, failure };
}
