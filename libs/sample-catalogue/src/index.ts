export { sampleMerchants, sampleProducts } from './sample-products.ts';
export type { SampleOptions, SampleProduct } from './sample-products.ts';
