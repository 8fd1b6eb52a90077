import { writeFile } from 'node:fs/promises';
import { openShop } from './kit.ts';

const shop = await openShop(() => undefined);
await writeFile(new URL('tool-list.json', import.meta.url), `${JSON.stringify((await shop.client.listTools()).tools, undefined, 1)}\n`);
await shop.close();
