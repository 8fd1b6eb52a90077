export { startPosStub, stubCredentials } from './start-pos-stub.ts';
export type { PosStub, PosStubOptions } from './start-pos-stub.ts';
export type { Credentials } from './api.ts';
export { fromLocalTime, toLocalTime } from './documents.ts';
export { sampleProduct } from './shop.ts';
export type { Shop, StubProduct } from './shop.ts';
export { weatherModes, weatherSchema } from './weather.ts';
export type { Weather, WeatherMode } from './weather.ts';
export { signatureOf } from './webhooks.ts';
