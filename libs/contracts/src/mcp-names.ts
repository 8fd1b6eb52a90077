/** Every tool of the MCP server: what stands in the audit log, besides these, is no name. The test of libs/mcp-tools compares them with the tools. */
export const mcpTools = [
  'search_products', 'get_product', 'check_stock', 'update_stock', 'similar_products', 'compare_products', 'recommend_for_user', 'customer_context', 'subscriber_360', 'best_next_service',
  'pos_status', 'sync_stats', 'force_resync', 'where_is_sku',
] as const;

/** Its prompts, likewise. */
export const mcpPrompts = ['sales_talk', 'compare_for_customer', 'service_offer'] as const;
