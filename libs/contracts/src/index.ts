export * from './money.ts';
export * from './product.ts';
export * from './product-updates.ts';
export * from './index-updates.ts';
