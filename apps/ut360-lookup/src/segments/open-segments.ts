import { createPool } from '@millrace/database';
import type { ServiceContext } from '@millrace/service';
import type { Pointer } from '@millrace/subscribers';
import type { Router } from 'express';
import type { Pool } from 'pg';
import { Gauge } from 'prom-client';
import type { Config } from '../config.ts';
import type { LivePointer } from '../live-pointer.ts';
import type { PiiReads } from '../pii-reads.ts';
import { createLiveColumns } from './live-columns.ts';
import type { LiveColumns } from './live-columns.ts';
import { createSegmentReader } from './segment-reader.ts';
import { segmentRoutes } from './segment.routes.ts';

export interface OpenSegmentsDeps extends Pick<ServiceContext<Config>, 'config' | 'logger' | 'metrics' | 'onClose'> {
  /** With a statement timeout: what a caller may wait. */
  readonly pool: Pool;
  /** Direct, without a statement timeout. */
  readonly direct: Pool;
  readonly pointer: LivePointer;
  readonly askPointer: () => Promise<Pointer>;
  readonly piiReads: PiiReads;
  /** ISDNs that no answer has although rows may. */
  readonly hidden: () => readonly string[];
}

export interface Segments {
  readonly routes: Router;
  /** Told of every new pointer. */
  readonly columns: LiveColumns;
}

/** Exports that Postgres answers, at once: each holds a connection. */
const POSTGRES_EXPORTS = 2;
const MB = 1_048_576;

export function openSegments({ config, logger, metrics, onClose, pool, direct, pointer, askPointer, piiReads, hidden }: OpenSegmentsDeps): Segments {
  // Around a pooler: the rows of a cursor are known to one connection.
  const exportPool = createPool({ url: config.DATABASE_DIRECT_URL ?? config.UT360_LOOKUP_DATABASE_URL, name: 'ut360-lookup:exports', max: POSTGRES_EXPORTS, logger, statementTimeoutMs: 25_000 });
  onClose(() => exportPool.end());
  const columns = createLiveColumns({ pool: direct, limitBytes: config.UT360_SEGMENT_MEMORY_MB * MB, logger });
  onClose(() => columns.close());
  // oxlint-disable-next-line no-new -- the registry keeps it
  new Gauge({
    name: 'ut360_segment_memory_bytes', help: 'Memory of the copy that segments are counted in; 0: Postgres counts', registers: [metrics],
    collect() {
      this.set(columns.bytes);
    },
  });
  columns.follow(pointer.current);
  const reader = createSegmentReader({ pool, exportPool, columns, hidden, askPointer, refreshPointer: () => pointer.refresh() });
  return { columns, routes: segmentRoutes({ pool, reader, piiReads, logger, askPointer }) };
}
