import type { Scope } from './operation.ts';

const viewer = ['products:read', 'search:read', 'analytics:read'] as const satisfies readonly Scope[];

/**
 * What people are allowed to do, by the role that a token names or that a key was made with. The one table of roles: everything else asks for scopes.
 * `pii` is beside the others: it opens data of persons and nothing else.
 */
export const roles = {
  viewer,
  editor: [...viewer, 'products:write', 'events:write', 'pos:read', 'sessions', 'plans'],
  ops: [...viewer, 'pos:read', 'pos:write', 'plans', 'admin', 'ops'],
  pii: ['events:read', 'ut360:read', 'ut360:write', 'pii:read'],
} as const satisfies Readonly<Record<string, readonly Scope[]>>;
export type Role = keyof typeof roles;

export const roleNames = ['viewer', 'editor', 'ops', 'pii'] as const satisfies readonly Role[];
const isRole = (name: string): name is Role => Object.hasOwn(roles, name);

/** Erasing a person cannot be undone: it is given by name to one key, never along with a role. */
export const scopesOfNoRole: readonly Scope[] = ['users:erase'];

/** The scopes of all these roles together, each once; names that are no roles count for nothing. */
export const scopesOfRoles = (names: readonly string[]): readonly Scope[] => [...new Set(names.flatMap((name): readonly Scope[] => (isRole(name) ? roles[name] : [])))];
