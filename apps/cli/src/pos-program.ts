import { weatherModes, weatherSchema } from '@millrace/pos-stub';
import type { WeatherMode } from '@millrace/pos-stub';
import { Option } from 'commander';
import type { Command } from 'commander';
import type { runPosStub } from './commands/pos-stub.ts';
import { UsageError } from './usage-error.ts';

interface StubOptions {
  readonly port: number;
  readonly host: string;
  readonly products: number;
  readonly limit: number;
  readonly tokenSeconds: number;
  readonly weather: WeatherMode;
  readonly target: 'api' | 'token' | 'all';
  readonly times?: number;
  readonly delayMs?: number;
  readonly retryAfter?: number;
}

const whole = (least: number, most: number) => (text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least || value > most) throw new UsageError(`"${text}" must be a whole number from ${least} to ${most}`);
  return value;
};

const weatherOf = ({ weather: mode, target, times, delayMs, retryAfter }: StubOptions) =>
  weatherSchema.parse({ mode, target, ...(times !== undefined && { times }), ...(delayMs !== undefined && { delay_ms: delayMs }), ...(retryAfter !== undefined && { retry_after_s: retryAfter }) });

/** `millrace pos-stub`: a point of sale to try with. `run` is loaded with the command. */
export function addPosStub(program: Command, print: (line: string) => void, load: () => Promise<{ runPosStub: typeof runPosStub }> = () => import('./commands/pos-stub.ts')): void {
  program
    .command('pos-stub')
    .description("a local imitation of KiotViet's public API, in memory, until Ctrl-C; POST /_stub/weather changes how it behaves")
    .option('--port <n>', '0 = any free one', whole(0, 65_535), 8_190)
    .option('--host <address>', 'there is nothing to protect it', '127.0.0.1')
    .option('--products <n>', 'in the shop', whole(0, 100_000), 120)
    .option('--limit <n>', 'GETs in an hour', whole(1, 10_000_000), 5_000)
    .option('--token-seconds <n>', 'how long an access token is good', whole(1, 31_536_000), 86_400)
    .addOption(new Option('--weather <mode>', 'how it answers').choices([...weatherModes]).default('fine'))
    .addOption(new Option('--target <what>', 'which requests meet that weather').choices(['api', 'token', 'all']).default('api'))
    .option('--times <n>', 'so many requests meet it; default: all', whole(1, 1_000_000))
    .option('--delay-ms <n>', 'of --weather slow', whole(0, 600_000))
    .option('--retry-after <seconds>', 'of --weather too_many; 0 = none', whole(0, 86_400))
    .action(async (options: StubOptions) => {
      const { port, host, products, limit, tokenSeconds } = options;
      await (await load()).runPosStub({ port, host, products, hourlyLimit: limit, tokenSeconds, weather: weatherOf(options) }, print);
    });
}
