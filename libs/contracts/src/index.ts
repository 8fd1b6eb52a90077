export * from './money.ts';
export * from './product.ts';
export * from './product-updates.ts';
export * from './index-updates.ts';
export * from './operation.ts';
export * from './problem.ts';
export * from './http/index.ts';
