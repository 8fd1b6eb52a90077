export { sampleSubscriber, sampleSubscribers } from './subscribers.ts';
export type { SampleMonth, SampleOptions, SampleSubscriber } from './subscribers.ts';
export { writeSampleFiles } from './write-files.ts';
export type { SampleDataset, SampleFormat, WriteSampleOptions } from './write-files.ts';
