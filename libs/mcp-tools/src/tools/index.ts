import type { Tool } from '../tool.ts';
import { bestNextService } from './best-next-service.ts';
import { checkStock } from './check-stock.ts';
import { compareProducts } from './compare-products.ts';
import { customerContext } from './customer-context.ts';
import { getProduct } from './get-product.ts';
import { forceResync, posStatus, syncStats, whereIsSku } from './operations.ts';
import { recommendForUser } from './recommend-for-user.ts';
import { searchProducts } from './search-products.ts';
import { similarProducts } from './similar-products.ts';
import { subscriber360 } from './subscriber-360.ts';
import { updateStock } from './update-stock.ts';

/** Every tool there is. */
export const tools: readonly Tool[] = [
  searchProducts, getProduct, checkStock, updateStock, similarProducts, compareProducts, recommendForUser, customerContext, subscriber360, bestNextService, posStatus, syncStats, forceResync, whereIsSku,
];
