// node write-many.ts DIRECTORY: writes batches of 50 to the live collection until it is killed, a line on stdout after each.
import { writeSync } from 'node:fs';
import { openEmbeddedVectorAdmin } from '../../src/index.ts';
import { record } from '../../src/testing/records.ts';

const admin = await openEmbeddedVectorAdmin({ directory: process.argv[2] ?? '' });
const writer = await admin.openWriter((await admin.liveCollection()) ?? '');
for (let batch = 1; ; batch++) {
  await writer.upsert(Array.from({ length: 50 }, (_record, at) => record(`${batch}-${at}`, 1, [1, batch, at])));
  writeSync(1, `${batch}\n`);
}
