import { describe, expect, it } from '@jest/globals';
import { connectRedis, isClusterUrl } from '../src/index.ts';
import { parseRedisUrl } from '../src/url.ts';

const node = (host: string, port: number): { host: string; port: number } => ({ host, port });

describe('parseRedisUrl', () => {
  it('leaves a single server to the client', () => {
    for (const url of ['redis://user:pw@h:1/2', 'rediss://h', 'h:6379', '/tmp/redis.sock']) expect(parseRedisUrl(url)).toEqual({ kind: 'single', url });
  });

  it('reads every node of a cluster, the login and TLS', () => {
    expect(parseRedisUrl('rediss-cluster://us%40er:p%3Aw%2F@h1:7000?node=h2:7001&node=[::1]:7002&node=h4')).toEqual({
      kind: 'cluster', tls: true, login: { username: 'us@er', password: 'p:w/' }, nodes: [node('h1', 7000), node('h2', 7001), node('::1', 7002), node('h4', 6379)],
    });
    expect(parseRedisUrl('redis-cluster://:pw@h1')).toEqual({ kind: 'cluster', tls: false, login: { password: 'pw' }, nodes: [node('h1', 6379)] });
  });

  it('reads the sentinels, the name, the database and both logins', () => {
    expect(parseRedisUrl('redis-sentinel://:pw@h1/3?node=h2:1&sentinelServiceName=my%20master&sentinelUsername=su&sentinelPassword=sp')).toEqual({
      kind: 'sentinel', tls: false, login: { password: 'pw' }, sentinelLogin: { username: 'su', password: 'sp' }, name: 'my master', db: 3,
      sentinels: [node('h1', 26379), node('h2', 1)],
    });
  });

  it.each([
    { fault: 'another scheme', url: 'http://u:s3cret@h', says: 'begins with none of' },
    { fault: 'hosts in a list', url: 'redis-cluster://u:s3cret@h1:1,h2:2', says: 'not a URL' },
    { fault: 'a port that is none', url: 'redis-cluster://u:s3cret@h1:70000', says: 'not a URL' },
    { fault: 'port 0', url: 'redis-cluster://u:s3cret@h1:0', says: 'names no host' },
    { fault: 'no host', url: 'redis-cluster:///?node=h2:1', says: 'names no host' },
    { fault: 'a node without a port number', url: 'redis-cluster://u:s3cret@h1?node=h2:s3cret', says: 'node 1 is not host:port' },
    { fault: 'a node with a login', url: 'redis-cluster://h1?node=h2:1&node=u:s3cret@h3:1', says: 'node 2 is not host:port' },
    { fault: 'an empty node', url: 'redis-cluster://u:s3cret@h1?node=', says: 'node 1 is not host:port' },
    { fault: 'a database of a cluster', url: 'redis-cluster://u:s3cret@h1/2', says: 'only database 0' },
    { fault: 'an unknown parameter', url: 'redis-cluster://u:s3cret@h1?nodes=h2:1', says: 'parameters are node' },
    { fault: 'a parameter of the other form', url: 'redis-cluster://h1?sentinelPassword=s3cret', says: 'parameters are node' },
    { fault: 'a password that is not encoded', url: 'redis-cluster://u:s3cret%@h1', says: 'not percent-encoded' },
    { fault: 'a # in the password', url: 'redis-cluster://u:#s3cret@h1', says: /not a URL|percent-encode/ },
    { fault: 'no name of the primary', url: 'redis-sentinel://u:s3cret@h1?node=h2:1', says: 'sentinelServiceName is missing' },
    { fault: 'a path that is no database', url: 'redis-sentinel://u:s3cret@h1/mymaster?sentinelServiceName=m', says: 'number of a database' },
  ])('rejects $fault in a sentence without the password', ({ url, says }) => {
    let caught: unknown;
    try {
      connectRedis(url, { role: 'request', name: 'test' });
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(Error);
    expect(String(caught)).toMatch(says);
    expect(JSON.stringify(caught, Object.getOwnPropertyNames(caught))).not.toMatch(/s3cret/);
  });
});

it.each([
  { url: 'redis-cluster://h:1', cluster: true },
  { url: 'REDISS-CLUSTER://h:1', cluster: true },
  { url: 'redis-sentinel://h:1?sentinelServiceName=m', cluster: false },
  { url: 'redis://h/?node=redis-cluster://h', cluster: false },
  { url: 'h:6379', cluster: false },
])('isClusterUrl of $url is $cluster', ({ url, cluster }) => {
  expect(isClusterUrl(url)).toBe(cluster);
});
