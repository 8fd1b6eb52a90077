import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { expect, it } from '@jest/globals';

const ASK = `
  const { freePorts } = await import('${new URL('../src/free-ports.ts', import.meta.url).href}');
  console.log(JSON.stringify(await freePorts(300)));
  process.stdin.resume();
`;

it('gives no port to two processes that run at the same time', async () => {
  const children = Array.from({ length: 3 }, () => spawn(process.execPath, ['--input-type=module', '-e', ASK], { stdio: ['pipe', 'pipe', 'inherit'] }));
  const given = await Promise.all(children.map(async ({ stdout }) => JSON.parse(String(await once(createInterface({ input: stdout }), 'line'))) as number[]));
  for (const child of children) child.kill();
  expect(new Set(given.flat()).size).toBe(900);
});
