// npm run bench -- gateway [speed|together]: what the gateway costs, how fast its cached answers are, and what four gateways do together.
import { benchSpeed } from './gateway/speed.ts';
import { openPlace } from './gateway/place.ts';
import { benchTogether } from './gateway/together.ts';
import type { BenchRow } from './support/measure.ts';

export async function run([part]: readonly string[] = []): Promise<BenchRow[]> {
  const place = await openPlace();
  try {
    return [...(part === 'together' ? [] : await benchSpeed(place)), ...(part === 'speed' ? [] : await benchTogether(place))];
  } finally {
    await place.close();
  }
}
