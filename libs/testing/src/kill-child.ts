import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** kill -9; resolves when it has ended. Does nothing where there is none, or none any more. */
export async function killChild(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
