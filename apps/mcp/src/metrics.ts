import type { CalledTool } from '@millrace/mcp-tools';
import { Counter, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';

export interface McpMetrics {
  called(call: CalledTool): void;
  uncounted(tool: string): void;
}

export function createMcpMetrics(metrics: Registry): McpMetrics {
  const calls = new Counter({ name: 'mcp_tool_calls_total', help: 'Calls of tools: ok, question, or the code of the refusal', labelNames: ['tool', 'outcome'], registers: [metrics] });
  const seconds = new Histogram({ name: 'mcp_tool_seconds', help: 'Time of a call of a tool, with the calls of the API', labelNames: ['tool'], buckets: [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 20], registers: [metrics] });
  const uncounted = new Counter({ name: 'mcp_tool_uncounted_total', help: 'Calls of tools while Redis could not count them: refused, or counted by this instance alone', labelNames: ['tool'], registers: [metrics] });
  return {
    called: ({ tool, outcome, seconds: took }) => {
      calls.inc({ tool, outcome });
      seconds.observe({ tool }, took);
    },
    uncounted: (tool) => uncounted.inc({ tool }),
  };
}
