import { createHash } from 'node:crypto';
import type { RedisVectorOptions } from './client.ts';

/** Every key of the store. A collection's name is its index's name and what the keys of its records begin with. */
export interface Names {
  /** Names the live collection. Changed by the script that moves the index alias: an alias is read back only by FT.INFO, which takes 2 ms. */
  readonly live: string;
  /** Set of the collections that belong to the alias. */
  readonly collections: string;
  /** Hash: how many collections each model has had. */
  readonly generations: string;
  /** The first collection of a model: `<keyPrefix>@<model>`; the next ones are `…@2` and so on. */
  firstCollection(modelId: string): string;
  record(collection: string, sku: string): string;
  /** What precedes the sku. */
  records(collection: string): string;
  /** Sorted set, all with score 0: a sorted list of the skus that are not tombstones, by their UTF-8 bytes. */
  skus(collection: string): string;
  /** Sorted set sku -> ms since 1970 of its deletion. */
  tombstones(collection: string): string;
  /** Key of a product that names no model. */
  plain(sku: string): string;
}

/** The hash under a collection's own name has its model (`model_id`, `dimensions`, `document`) and `state`: open or dropped. */
export function createNames({ alias, keyPrefix = 'product:embedding' }: Pick<RedisVectorOptions, 'alias' | 'keyPrefix'>): Names {
  const beside = (collection: string, what: string): string => `${keyPrefix}-${what}${collection.slice(keyPrefix.length)}`;
  return {
    live: `${alias}:live`,
    collections: `${alias}:collections`,
    generations: `${keyPrefix}-generations`,
    // Percent-encoding leaves neither ":" nor "@": no collection's keys begin with another's, whatever a model is called.
    firstCollection: (modelId) => `${keyPrefix}@${encodeURIComponent(modelId)}`,
    record: (collection, sku) => `${collection}:${sku}`,
    records: (collection) => `${collection}:`,
    skus: (collection) => beside(collection, 'skus'),
    tombstones: (collection) => beside(collection, 'tombstones'),
    plain: (sku) => `${keyPrefix}:${sku}`,
  };
}

/** The index's separator of several tags in one field, which we never have. */
export const tagSeparator = '\u0001';

/**
 * Tags are cut at white space, NUL and the separator, and a backslash in what is asked for escapes the sign behind it (`\*` would find `*`). Anything but
 * plain text is indexed by its hash, which begins with what no plain text has.
 */
export function toTag(value: string): string {
  // oxlint-disable-next-line no-control-regex -- these are what a tag cannot hold
  const isPlain = value.length > 0 && value.length <= 500 && !/[\u0000-\u001f\u007f\\]|^\s|\s$/u.test(value);
  return isPlain ? value : `\u0002${createHash('sha256').update(value, 'utf8').digest('hex')}`;
}
