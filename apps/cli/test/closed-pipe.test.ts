import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, it } from '@jest/globals';

it('ends as always, and says nothing, where nobody reads its output any more', async () => {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../src/main.ts'), '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  const [[code], said] = await Promise.all([once(child, 'close'), text(child.stderr)]);
  expect([code, said]).toEqual([0, '']);
});
