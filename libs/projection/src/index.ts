export { createExportReader, toProjected } from './export-reader.ts';
export type { ExportReaderDeps, ProjectedChange, ReadExport } from './export-reader.ts';
export { runAsLeader } from './leader.ts';
export type { LeaderDeps } from './leader.ts';
export { rebuildBeside } from './rebuild.ts';
export type { RebuildDeps } from './rebuild.ts';
export { createBacklogCheck } from './backlog-check.ts';
export type { BacklogCheck } from './backlog-check.ts';
