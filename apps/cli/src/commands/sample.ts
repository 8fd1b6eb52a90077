import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { sampleProducts } from '@millrace/sample-catalogue';
import { UsageError } from '../usage-error.ts';

/** The deterministic sample catalogue, one product a line; of merchant 1, which every installation has, unless `merchants` are wanted. */
export async function writeSample({ count, merchants }: { readonly count: number; readonly merchants?: boolean }, output: NodeJS.WritableStream): Promise<void> {
  if (!Number.isInteger(count) || count < 1 || count > 100_000) throw new UsageError('--count must be a whole number from 1 to 100000');
  const lines = function* (): Generator<string> {
    for (const product of sampleProducts({ count })) yield `${JSON.stringify(merchants === true ? product : { ...product, merchant_id: 1 })}\n`;
  };
  await pipeline(Readable.from(lines()), output, { end: false });
}
