import { describe, expect, it } from '@jest/globals';
import { roleNames, roles, scopes, scopesOfNoRole, scopesOfRoles } from '../src/index.ts';

describe('roles', () => {
  it('give every scope that exists, or it is deliberately in none', () => {
    expect([...new Set([...Object.values(roles).flat(), ...scopesOfNoRole])].toSorted()).toEqual([...scopes].toSorted());
    expect(scopesOfRoles(roleNames).filter((scope) => scopesOfNoRole.includes(scope))).toEqual([]);
    expect([...roleNames].toSorted()).toEqual(Object.keys(roles).toSorted());
  });
  it('add up, each scope once, and unknown names give nothing, not even those that every object has', () => {
    expect(scopesOfRoles(['viewer', 'editor', 'viewer'])).toEqual(['products:read', 'search:read', 'analytics:read', 'products:write', 'events:write', 'pos:read', 'sessions', 'plans']);
    expect(scopesOfRoles(['admin', 'constructor', '__proto__', 'toString', ''])).toEqual([]);
  });
});
