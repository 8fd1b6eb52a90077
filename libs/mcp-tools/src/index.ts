export type { CallDeps, CalledTool, Connection } from './call-tool.ts';
export { createConfirmations } from './confirmations.ts';
export type { Confirmations } from './confirmations.ts';
export { createMcpServer } from './create-server.ts';
export type { ServerDeps, ServerOptions } from './create-server.ts';
export type { ToolCaller } from './tool.ts';
export { tools } from './tools/index.ts';
export { createMemoryUsage, windowsOf } from './usage.ts';
export type { Taken, ToolLimits, Usage } from './usage.ts';
