import type { ServiceContext } from '@millrace/service';
import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { Config } from './config.ts';
import { createUpstream } from './proxy.ts';
import type { Upstream } from './proxy.ts';

/** Read with each scrape. */
function watchLoad(upstreams: Readonly<Record<string, Upstream>>, metrics: Registry): void {
  metrics.registerMetric(new Gauge({
    name: 'upstream_requests', help: 'Requests to services: on their way (running), and without a free connection (waiting)', labelNames: ['upstream', 'pool', 'state'], registers: [],
    collect() {
      for (const [upstream, { load }] of Object.entries(upstreams))
        for (const { pool, running, waiting } of load?.() ?? []) {
          this.set({ upstream, pool, state: 'running' }, running);
          this.set({ upstream, pool, state: 'waiting' }, waiting);
        }
    },
  }));
}

/** The services behind the gateway, by the name that their operations give; their connections end with the process. */
export function openUpstreams({ config, metrics, onClose }: Pick<ServiceContext<Config>, 'config' | 'metrics' | 'onClose'>): Readonly<Record<string, Upstream>> {
  const addresses = {
    'catalog-api': config.CATALOG_API_URL,
    'es-sync-worker': config.ES_SYNC_WORKER_URL,
    'event-ingest': config.EVENT_INGEST_URL,
    recommender: config.RECOMMENDER_URL,
    'ut360-lookup': config.UT360_LOOKUP_URL,
    pos: config.POS_URL,
    mcp: config.MCP_URL,
  };
  const upstreams = Object.fromEntries(Object.entries(addresses).map(([name, url]) => [name, createUpstream(name, url)]));
  for (const upstream of Object.values(upstreams)) onClose(() => upstream.close());
  watchLoad(upstreams, metrics);
  return upstreams;
}
