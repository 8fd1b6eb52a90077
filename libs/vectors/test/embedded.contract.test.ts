import { embeddedFeatures } from '../src/index.ts';
import { describeVectorContract } from '../src/testing.ts';
import { embeddedStore } from './support/embedded-store.ts';

const products = process.env['TEST_SCALE'] === 'full' ? 10_000 : 1_000;
describeVectorContract('embedded', { ...embeddedFeatures, products }, embeddedStore);
