export { createExportReader, toProjected } from './export-reader.ts';
export type { ExportReaderDeps, ProjectedChange, ReadExport } from './export-reader.ts';
export { runAsLeader } from './leader.ts';
export type { LeaderDeps } from './leader.ts';
export { rebuildBeside } from './rebuild.ts';
export type { RebuildDeps } from './rebuild.ts';
export { untilDone } from './until-done.ts';
export type { UntilDoneOptions } from './until-done.ts';
