import { startPosStub } from '@millrace/pos-stub';
import type { PosStubOptions } from '@millrace/pos-stub';
import { FailedError } from '../failed-error.ts';

/** Serves until SIGINT or SIGTERM, and says first what has to be set for the service pos. Rejects with a sentence where the port is taken. */
export async function runPosStub(options: PosStubOptions, print: (line: string) => void): Promise<void> {
  const stopped = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  const stub = await startPosStub(options).catch((error: unknown) => {
    if (typeof error === 'object' && error !== null && 'code' in error && (error.code === 'EADDRINUSE' || error.code === 'EACCES')) throw new FailedError(`port ${options.port ?? 0} cannot be had: give another one by --port`, { cause: error });
    throw error;
  });
  const { clientId, clientSecret, retailer } = stub.credentials;
  print(`KIOTVIET_API_URL=${stub.url}`);
  print(`KIOTVIET_TOKEN_URL=${stub.tokenUrl}`);
  print(`KIOTVIET_CLIENT_ID=${clientId}`);
  print(`KIOTVIET_CLIENT_SECRET=${clientSecret}`);
  print(`KIOTVIET_RETAILER=${retailer}`);
  await stopped;
  await stub.close();
}
