import type { VectorRecord, VectorWriter } from '@millrace/vectors';

/** Guarded by version, as the port promises. */
export function memoryWriter(): { writer: VectorWriter; kept: Map<string, { version: number; deleted: boolean; record?: VectorRecord }> } {
  const kept = new Map<string, { version: number; deleted: boolean; record?: VectorRecord }>();
  const newer = (sku: string, version: number): boolean => (kept.get(sku)?.version ?? 0) <= version;
  return {
    kept,
    writer: {
      upsert: async (records) => { for (const record of records) if (newer(record.sku, record.version)) kept.set(record.sku, { version: record.version, deleted: false, record }); },
      remove: async (tombstones) => { for (const { sku, version } of tombstones) if (newer(sku, version)) kept.set(sku, { version, deleted: true }); },
      describe: async (skus) => new Map(skus.flatMap((sku) => {
        const known = kept.get(sku);
        return known ? [[sku, { version: known.version, deleted: known.deleted, category: known.record?.payload.category ?? null, ...(known.record && { textHash: known.record.textHash }) }] as const] : [];
      })),
      updatePayload: async (changes) => {
        for (const { sku, version, textHash, payload } of changes) {
          const known = kept.get(sku);
          if (known?.record?.textHash === textHash && newer(sku, version)) kept.set(sku, { version, deleted: false, record: { ...known.record, version, payload } });
        }
      },
      close: async () => undefined,
    },
  };
}
