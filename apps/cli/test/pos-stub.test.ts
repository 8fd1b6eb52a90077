import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import { run } from '../src/run.ts';

async function millrace(args: readonly string[]): Promise<{ code: number; said: string }> {
  const lines: string[] = [];
  const code = await run(['node', 'millrace', ...args], {}, { print: (line) => void lines.push(line), printError: (line) => void lines.push(line) });
  return { code, said: lines.join('\n') };
}

describe('millrace pos-stub', () => {
  it.each([['--weather', 'hail'], ['--port', 'x'], ['--port', '70000'], ['--times', '0'], ['--target', 'both']])('%s %s is called wrongly: a sentence, and exit code 2', async (...args) => {
    const { code, said } = await millrace(['pos-stub', ...args]);
    expect([code, said.includes(args[1] ?? '')]).toEqual([2, true]);
  });

  it('says which port cannot be had, and exits 1', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    expect(await millrace(['pos-stub', '--port', String(port)])).toEqual({ code: 1, said: `port ${port} cannot be had: give another one by --port` });
    server.close();
  });

  it('prints the variables that point at it, answers in the weather it was told, and ends by SIGTERM', async () => {
    const child = spawn(process.execPath, [join(import.meta.dirname, '../src/main.ts'), 'pos-stub', '--port', '0', '--weather', 'too_many', '--retry-after', '9'], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const url = await eventually(() => /KIOTVIET_API_URL=(\S+)[^]*KIOTVIET_RETAILER=/.exec(said)?.[1] ?? false);
    const answer = await fetch(`${url}/products`);
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '9']);
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });
});
