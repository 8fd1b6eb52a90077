import { once } from 'node:events';
import { createServer } from 'node:http';

/** Pages of a shop, on a server of their own: whatever the path, the script of the gateway and one call of `init`. */
export interface ShopPages {
  /** The same pages under two origins. */
  readonly localhost: string;
  readonly address: string;
  /** What the next pages call `init` with. */
  settings: Readonly<Record<string, unknown>>;
  /** `/plain` has no script. */
  close(): void;
}

const page = (gatewayUrl: string, settings: object): string => `<!doctype html><html lang="en"><title>Shop</title>
<script>window.millrace = window.millrace || function () { (millrace.q = millrace.q || []).push(arguments); };
millrace('init', ${JSON.stringify(settings)});</script>
<script async src="${gatewayUrl}/millrace.js"></script><h1>Shop</h1></html>`;

export async function startShopPages(gatewayUrl: string): Promise<ShopPages> {
  const server = createServer((req, res) => {
    res.writeHead(200, { 'content-type': 'text/html' }).end(req.url === '/plain' ? '<h1>plain</h1>' : page(gatewayUrl, pages.settings));
  }).listen(0);
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const pages: ShopPages = {
    localhost: `http://localhost:${port}`, address: `http://127.0.0.1:${port}`, settings: {},
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
  return pages;
}
