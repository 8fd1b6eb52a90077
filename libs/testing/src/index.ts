export { eventually } from './eventually.ts';
export { testServer, describeWith } from './servers.ts';
export { uniqueName } from './unique-name.ts';
