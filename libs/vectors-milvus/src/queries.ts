import { VectorsUnavailableError } from '@millrace/vectors';
import type { StoredRow, VectorModel } from '@millrace/vectors';
import type { MilvusClient, RowData } from '@zilliz/milvus2-sdk-node';
import { ConsistencyLevelEnum } from '@zilliz/milvus2-sdk-node';
import { z } from 'zod';
import { asking } from './client.ts';
import { keyOf, modelId, rowFields, toModel, toModelHead, toStoredRow } from './rows.ts';
import type { ModelHead } from './rows.ts';

export const idIn = (ids: readonly string[]): string => `id in [${ids.map((id) => `"${id}"`).join(', ')}]`;

export interface Asked {
  readonly client: MilvusClient;
  /** A collection, or an alias of one. */
  readonly name: string;
  /** Default Strong: what was acknowledged is seen. */
  readonly consistency?: ConsistencyLevelEnum;
}

export async function queryRows({ client, name, consistency = ConsistencyLevelEnum.Strong }: Asked, { filter, fields, limit }: { filter: string; fields: readonly string[]; limit?: number }): Promise<readonly Record<string, unknown>[]> {
  const { data } = await asking(() => client.query({ collection_name: name, filter, output_fields: [...fields], consistency_level: consistency, ...(limit !== undefined && { limit }) }));
  return data;
}

/** Replaces rows. With a deadline of its own: the SDK's default for this one call is a day. */
export const upsertRows = ({ client, name }: Asked, rows: readonly RowData[]): Promise<unknown> => asking(() => client.upsert({ collection_name: name, data: [...rows], timeout: client.timeout }));

/** Those that are stored, by sku. */
export async function readStored(asked: Asked, skus: readonly string[], { withVectors }: { readonly withVectors: boolean }): Promise<Map<string, StoredRow>> {
  const rows = await queryRows(asked, { filter: idIn(skus.map(keyOf)), fields: withVectors ? [...rowFields, 'vector'] : rowFields });
  return new Map(rows.map((data) => {
    const row = toStoredRow(data);
    return [row.sku, row];
  }));
}

export async function countRows(asked: Asked, filter: string): Promise<number> {
  const [row] = await queryRows(asked, { filter, fields: ['count(*)'] });
  return z.coerce.number().parse(row?.['count(*)']);
}

const bodySchema = z.looseObject({ id: z.string(), body: z.string() });

/** Which model it is, without its document. undefined: the collection is not complete. */
export async function readModelHead(asked: Asked): Promise<ModelHead | undefined> {
  const [row] = await queryRows(asked, { filter: idIn([modelId]), fields: ['body'] });
  return row === undefined ? undefined : toModelHead(row['body']);
}

export async function readDocument(asked: Asked, head: ModelHead): Promise<VectorModel> {
  const rows = head.partIds.length === 0 ? [] : await queryRows(asked, { filter: idIn(head.partIds), fields: ['id', 'body'] });
  return toModel(head, new Map(rows.map((row) => bodySchema.parse(row)).map(({ id, body }) => [id, body])));
}

/** @throws VectorsUnavailableError where there is no such collection, or it is not complete */
export async function readModel(asked: Asked): Promise<VectorModel> {
  const head = await readModelHead(asked);
  if (head === undefined) throw new VectorsUnavailableError(`the vector collection ${asked.name} has no model`);
  return readDocument(asked, head);
}
