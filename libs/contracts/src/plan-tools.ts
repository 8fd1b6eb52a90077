import type { Scope } from './operation.ts';

/**
 * Tools of the MCP server that may be steps of plans, and the scopes that they need: those that only read, and not of persons. What the others change is an
 * operation, too, without the questions that an assistant has to ask first. The test of libs/mcp-tools compares them with the tools.
 */
export const planTools: Readonly<Record<string, readonly Scope[]>> = {
  search_products: ['search:read'], get_product: ['products:read'], check_stock: ['products:read'], compare_products: ['products:read'], similar_products: ['search:read'],
  pos_status: ['pos:read'], sync_stats: ['admin'], where_is_sku: ['ops'],
};
