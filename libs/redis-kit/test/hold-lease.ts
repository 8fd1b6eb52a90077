// Holds a lease until it is killed: node hold-lease.ts <redisUrl> <name> <ttlMs>. Tells its parent its number, and when it is told that the lease is lost.
import { connectRedis, keysFor, openLease, whenReady } from '../src/index.ts';

const [url = '', name = '', ttlMs = ''] = process.argv.slice(2);
const redis = connectRedis(url, { role: 'background', name: 'holder' });
await whenReady(redis);
const lease = await openLease({ redis, keys: keysFor(url).lease(name), ttlMs: Number(ttlMs) });
lease?.signal.addEventListener('abort', () => process.send?.({ told: String(lease.signal.reason), isHeld: lease.isHeld() }));
process.send?.({ number: lease?.fencingNumber ?? 0 });
