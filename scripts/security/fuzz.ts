// npm run security -- fuzz [--examples N] [--seconds N] [--seed N] [--phases …]: schemathesis against the gateway of a whole plane that is thrown away
// afterwards, in every operation of its OpenAPI document: no 5xx, no status, media type, header or body that the document does not name, bad input refused,
// 405 with Allow, 401 without a key. Exit code 1 where it finds anything.
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startPosStub } from '../../libs/pos-stub/src/index.ts';
import { row } from '../bench/support/measure.ts';
import type { BenchRow } from '../bench/support/measure.ts';
import { startStack } from '../local/stack.ts';
import { newStateDir } from '../local/test-run.ts';
import { documentForPython } from './support/openapi.ts';
import { findSchemathesis, runSchemathesis } from './support/schemathesis.ts';

/** What a run leaves out, and why. Everything else may do its worst: the plane is thrown away. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  liveFeed: 'its answer never ends',
  planEvents: 'its answer ends with its plan, and most plans are never run',
  revokeKey: 'it would take away the key of this very run',
};
/** A valid request may be refused for what is stored: no such sku, nobody to erase. */
const NOT_CHECKED = 'positive_data_acceptance';

export async function run(args: readonly string[]): Promise<BenchRow[]> {
  const { values } = parseArgs({ args: [...args], options: { examples: { type: 'string', default: '20' }, seconds: { type: 'string' }, seed: { type: 'string', default: '1' }, phases: { type: 'string', default: 'examples,coverage,fuzzing,stateful' } } });
  const binary = findSchemathesis();
  const stateDir = newStateDir('fuzz');
  // A shop's point of sale: without one half of these operations say only that there is none.
  const pos = await startPosStub({ products: 50 });
  const connection = {
    KIOTVIET_API_URL: pos.url, KIOTVIET_TOKEN_URL: pos.tokenUrl, KIOTVIET_CLIENT_ID: pos.credentials.clientId, KIOTVIET_CLIENT_SECRET: pos.credentials.clientSecret, KIOTVIET_RETAILER: pos.credentials.retailer,
    KIOTVIET_WEBHOOK_SECRET: randomBytes(16).toString('hex'), POS_ENCRYPTION_KEYS: `k1:${randomBytes(32).toString('base64')}`,
  };
  const stack = await startStack({ stateDir, ports: 'free', durable: false, sample: true, env: { LOG_LEVEL: 'warn', ...connection } });
  try {
    const folder = join(stateDir, 'report');
    mkdirSync(folder);
    const document = join(folder, 'openapi.json');
    writeFileSync(document, documentForPython(await (await fetch(`${stack.gatewayUrl}/openapi.json`)).text()));
    const report = await runSchemathesis(binary, [
      document, '--url', stack.gatewayUrl, '--header', `X-Api-Key: ${stack.apiKey}`, '--phases', values.phases, '--checks', 'all', '--exclude-checks', NOT_CHECKED, '--max-examples', values.examples, '--seed', values.seed,
      ...Object.keys(LEFT_OUT).flatMap((id) => ['--exclude-operation-id', id]), ...(values.seconds === undefined ? [] : ['--max-time', values.seconds]),
      '--workers', '2', '--request-timeout', '20', '--continue-on-failure', '--suppress-health-check', 'all', '--generation-database', 'none', '--warnings', 'off', '--no-color',
    ], folder);
    for (const [id, why] of Object.entries(LEFT_OUT)) console.error(`left out: ${id}, because ${why}`);
    return [
      row('operations tested', report.operations.tested, { unit: 'operations', atLeast: report.operations.total - Object.keys(LEFT_OUT).length }),
      row('requests made', report.test_cases.generated, { unit: 'requests' }),
      row('failures', report.test_cases.unique_failures, { unit: 'failures', atMost: 0 }),
      row('operations that could not be tested', report.operations.errored + report.test_cases.errored, { unit: 'errors', atMost: 0 }),
      row('time', report.running_time, { unit: 's' }),
    ];
  } finally {
    await stack.stop();
    await pos.close();
  }
}
