// node write-one.ts DIRECTORY SKU VERSION...: a second process that writes to the live collection.
import { openEmbeddedVectorAdmin } from '../../src/index.ts';
import { record } from '../../src/testing/records.ts';

const [directory = '', sku = '', ...versions] = process.argv.slice(2);
const admin = await openEmbeddedVectorAdmin({ directory });
const writer = await admin.openWriter((await admin.liveCollection()) ?? '');
for (const version of versions) await writer.upsert([record(sku, Number(version), [1, Number(version)])]);
await writer.close();
