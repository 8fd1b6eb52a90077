import { readFile } from 'node:fs/promises';
import { describe, expect, it } from '@jest/globals';
import { mcpPrompts, mcpTools, planTools } from '@millrace/contracts';
import { tools as allTools } from '../src/index.ts';
import { openShop } from './kit.ts';

const file = new URL('tool-list.json', import.meta.url);

describe('the list of tools', () => {
  it('is what tool-list.json says: names, schemas, annotations, descriptions (node libs/mcp-tools/test/write-tool-list.ts writes it)', async () => {
    const shop = await openShop(() => undefined);
    const { tools } = await shop.client.listTools();
    expect(tools).toEqual(JSON.parse(await readFile(file, 'utf8')));
    await shop.close();
  });

  it('has exactly the names that the contracts say, as the prompts do, all with a schema of arguments and answers, and says of each what it does', async () => {
    const shop = await openShop(() => undefined);
    const { tools } = await shop.client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(mcpTools);
    expect((await shop.client.listPrompts()).prompts.map(({ name }) => name)).toEqual(mcpPrompts);
    for (const { name, inputSchema, outputSchema, annotations, description } of tools)
      expect({ name, closed: inputSchema['additionalProperties'], answers: outputSchema?.['type'], reads: typeof annotations?.readOnlyHint, world: annotations?.openWorldHint, isDescribed: (description ?? '').length > 40 }).toEqual({ name, closed: false, answers: 'object', reads: 'boolean', world: false, isDescribed: true });
    expect(tools.filter(({ annotations }) => annotations?.readOnlyHint === false).map(({ name, annotations }) => [name, annotations?.destructiveHint, annotations?.idempotentHint])).toEqual([['update_stock', true, false], ['force_resync', false, true]]);
    await shop.close();
  });

  it('has those that plans may call: with these scopes, reading only, and not of persons', () => {
    const named = allTools.filter(({ name }) => Object.hasOwn(planTools, name));
    expect(Object.fromEntries(named.map(({ name, scopes }) => [name, scopes]))).toEqual(planTools);
    expect(named.filter(({ annotations, scopes }) => !annotations.readOnlyHint || scopes.some((scope) => ['events:read', 'ut360:read', 'pii:read'].includes(scope)))).toEqual([]);
  });

  it('holds no pattern that readers of JSON Schema do not know', async () => {
    expect(await readFile(file, 'utf8')).not.toMatch(/\\\\p\{/);
  });

  it.each([
    { scopes: ['products:read'], names: ['get_product', 'check_stock', 'compare_products'] },
    { scopes: ['products:read', 'search:read'], names: ['search_products', 'get_product', 'check_stock', 'similar_products', 'compare_products', 'recommend_for_user'] },
    { scopes: ['products:write'], names: [] },
    { scopes: ['admin'], names: ['sync_stats'] },
    { scopes: ['ops', 'admin'], names: ['sync_stats', 'force_resync', 'where_is_sku'] },
    { scopes: ['ut360:read', 'events:read', 'pos:read'], names: ['customer_context', 'subscriber_360', 'best_next_service', 'pos_status'] },
  ])('has for $scopes only $names', async ({ scopes, names }) => {
    const shop = await openShop(() => undefined, { scopes });
    expect((await shop.client.listTools()).tools.map(({ name }) => name)).toEqual(names);
    await shop.close();
  });
});
