export type { Persist, Settings } from './settings.ts';
