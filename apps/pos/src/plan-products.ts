import type { ApplyChanges, PosChange, PosProblem, Product } from '@millrace/contracts';
import type { PosProduct } from '@millrace/kiotviet';
import type { Link } from './link.repository.ts';
import { mergeProduct, sharedOf } from './merge-product.ts';
import { toCatalogue } from './to-catalogue.ts';
import type { CatalogueRules, Wanted } from './to-catalogue.ts';

/** What is to be done about one product, in the catalogue and in our links. */
export interface Plan {
  readonly posId: number;
  readonly sku: string;
  /** Undefined: the catalogue is as it shall be. */
  readonly change: ApplyChanges['changes'][number] | undefined;
  readonly shown: PosChange | undefined;
  readonly kept: readonly string[];
  /** Undefined: the product has gone from the POS. */
  readonly wanted: Wanted | undefined;
}

export interface World {
  readonly links: ReadonlyMap<number, Link>;
  readonly products: ReadonlyMap<string, Product>;
}

export interface MappedProducts {
  /** By id of the POS; each sku once. */
  readonly wanted: ReadonlyMap<number, Wanted>;
  readonly problems: readonly PosProblem[];
}

/** Products as the catalogue would have them. Of two with the same code the one that comes later has it. */
export function mapProducts(products: readonly PosProduct[], rules: CatalogueRules): MappedProducts {
  const bySku = new Map<string, { readonly posId: number; readonly wanted: Wanted }>();
  const problems: PosProblem[] = [];
  for (const product of products) {
    const mapped = toCatalogue(product, rules);
    if ('problem' in mapped) {
      problems.push(mapped.problem);
      continue;
    }
    const { sku } = mapped.wanted;
    const other = bySku.get(sku);
    if (other && other.posId !== product.id) problems.push({ pos_id: other.posId, sku, pointer: '/code', detail: 'is the code of another product, too' });
    bySku.set(sku, { posId: product.id, wanted: mapped.wanted });
  }
  return { wanted: new Map([...bySku.values()].map(({ posId, wanted }) => [posId, wanted])), problems };
}

function planWanted(posId: number, wanted: Wanted, { links, products }: World): Plan {
  const { sku } = wanted;
  const link = links.get(posId);
  const current = products.get(sku);
  if (!current) {
    const product = { ...wanted };
    return { posId, sku, wanted, kept: [], change: { op: 'create', product }, shown: { sku, pos_id: posId, action: 'create', fields: {}, kept: [] } };
  }
  const { patch, fields, kept } = mergeProduct(wanted, current, link?.sku === sku ? link : undefined);
  if (Object.keys(patch).length === 0) return { posId, sku, wanted, kept, change: undefined, shown: undefined };
  return { posId, sku, wanted, kept, change: { op: 'patch', sku, content_version: current.content_version, patch }, shown: { sku, pos_id: posId, action: 'update', fields, kept: [...kept] } };
}

/** Gone from the POS: what the synchronisation made goes, what the catalogue knew before stays as archived and sold out. */
export function planRemoval(link: Link, current: Product | undefined): Plan {
  const { posId, sku } = link;
  const nothing: Plan = { posId, sku, wanted: undefined, kept: [], change: undefined, shown: undefined };
  if (!current) return nothing;
  if (link.createdHere) return { ...nothing, change: { op: 'delete', sku, content_version: current.content_version }, shown: { sku, pos_id: posId, action: 'delete', fields: {}, kept: [] } };
  if (current.status === 'archived' && current.stock === 0) return nothing;
  const fields = { status: { from: current.status, to: 'archived' }, stock: { from: current.stock, to: 0 } };
  return { ...nothing, change: { op: 'patch', sku, content_version: current.content_version, patch: { status: 'archived', stock: 0 } }, shown: { sku, pos_id: posId, action: 'archive', fields, kept: [] } };
}

export const planProducts = (wanted: ReadonlyMap<number, Wanted>, world: World): Plan[] => [...wanted].map(([posId, one]) => planWanted(posId, one, world));

/** The fields of which the POS' own value is remembered. */
export const baseOf = ({ wanted }: Plan) => (wanted ? sharedOf(wanted) : {});
