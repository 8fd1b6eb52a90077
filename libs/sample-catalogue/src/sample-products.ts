import { brands, colours, merchants } from './brands.ts';
import { electronics } from './categories/electronics.ts';
import { fashion } from './categories/fashion.ts';
import { home } from './categories/home.ts';
import { kitchen } from './categories/kitchen.ts';
import { leisure } from './categories/leisure.ts';
import type { Category, Fact, Trait, Words } from './category.ts';
import { createRandom } from './random.ts';
import type { Random } from './random.ts';

/** The fields of a new product (POST /api/products), all of them given. */
export interface SampleProduct {
  readonly sku: string;
  readonly merchant_id: number;
  readonly name: string;
  readonly description: string | null;
  readonly category: string;
  readonly brand: string | null;
  readonly mpn: string | null;
  readonly ean: readonly string[];
  /** Whole thousands in VND, two decimals at most in USD; null where the price is on request. */
  readonly price: number | null;
  readonly currency: 'USD' | 'VND';
  /** Null = unknown. */
  readonly stock: number | null;
  readonly image_url: string | null;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  readonly status: 'active' | 'draft' | 'archived';
}

export interface SampleOptions {
  /** How many; default 2,000. A smaller catalogue is the beginning of a larger one. */
  readonly count?: number;
  /** Another seed is another catalogue. */
  readonly seed?: number;
}

const categories: readonly Category[] = [...electronics, ...kitchen, ...fashion, ...home, ...leisure];
const VND_PER_USD = 25_000;
const DEFAULT_SEED = 20_261_121;
type Language = 'en' | 'vi' | 'both';

/** What is drawn once and then told in one language or in both. */
interface Draft {
  readonly category: Category;
  readonly brand: string | null;
  readonly item: Words;
  readonly trait: Trait;
  readonly second: Trait;
  readonly fact: Fact;
  readonly amount: number;
  readonly notes: readonly Words[];
  readonly colour: Words | undefined;
  /** Model code, or size. */
  readonly variant: string;
}

const upperFirst = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
const LETTERS = Array.from('ABCDEFHKLMNPRSTVX');
const modelCode = (random: Random): string => `${random.pick(LETTERS)}${random.pick(LETTERS)}-${random.int(10, 980)}`;

function draft(random: Random, category: Category, item: Words): Draft {
  const trait = random.pick(category.traits);
  const fact = random.pick(category.facts);
  // Each category has a dozen brands of its own, so that a brand means something.
  const first = categories.indexOf(category) * 7;
  const brand = brands[(first + random.int(0, 11)) % brands.length] ?? null;
  const note = random.pick(category.notes);
  return {
    category, item, trait, fact,
    brand: random.chance(0.04) ? null : brand,
    second: random.pick(category.traits.filter((other) => other !== trait)),
    amount: random.int(fact.from, fact.to),
    notes: random.chance(0.3) ? category.notes.filter((other) => other !== note).slice(0, 1).concat(note) : [note],
    colour: category.hasColour ? random.pick(colours) : undefined,
    variant: category.sizes ? random.pick(category.sizes) : modelCode(random),
  };
}

/** Brand, trait and item in the order that the language has. */
function nameIn(language: 'en' | 'vi', { brand, trait, item, variant, category, colour }: Draft): string {
  const words = language === 'en' ? [brand, trait.en, item.en] : [item.vi, trait.vi, brand];
  const suffix = category.sizes ? `, ${variant}` : ` ${variant}`;
  const shade = colour === undefined ? '' : language === 'en' ? `, ${colour.en}` : `, màu ${colour.vi}`;
  return upperFirst(words.filter((word) => word !== null).join(' ')) + suffix + shade;
}

function describeIn(language: 'en' | 'vi', product: Draft, length: number): string {
  const { item, trait, second, fact, amount, notes } = product;
  const opening = language === 'en' ? `${upperFirst(trait.en)} ${item.en}, ${second.en} too.` : `${upperFirst(item.vi)} ${trait.vi}, lại ${second.vi}.`;
  const sentences = [fact[language].replace('{n}', String(amount)), ...notes.map((note) => note[language])];
  return (length > 2 ? [opening, ...sentences] : sentences).slice(0, length).join(' ');
}

const inLanguage = (language: Language, separator: string, tell: (one: 'en' | 'vi') => string): string =>
  language === 'both' ? `${tell('en')}${separator}${tell('vi')}` : tell(language);

/** EAN-13 of the range for a shop's own numbers (20…), with its check digit (GS1: weights 1 and 3 from the left). */
function ean13(number: number): string {
  const digits = `20${String(number).padStart(10, '0')}`;
  const sum = Array.from(digits).reduce((total, digit, at) => total + Number(digit) * (at % 2 === 0 ? 1 : 3), 0);
  return digits + String((10 - (sum % 10)) % 10);
}

function price(random: Random, [low, high]: readonly [number, number], currency: 'USD' | 'VND'): number | null {
  // Cheap ones are more frequent than dear ones.
  const usd = low + (high - low) * random.next() ** 2;
  if (random.chance(0.01)) return null;
  return currency === 'VND' ? Math.max(1, Math.round((usd * VND_PER_USD) / 1_000)) * 1_000 : Math.floor(usd) + random.pick([0, 0.5, 0.9, 0.95, 0.99]);
}

function stock(random: Random): number | null {
  if (random.chance(0.08)) return null;
  return random.chance(0.1) ? 0 : Math.round(2 + 180 * random.next() ** 3);
}

function attributes({ trait, second, fact, amount, colour, category, variant }: Draft): Record<string, string | number | boolean> {
  const traits = [second, trait].flatMap(({ key, value }) => (key !== undefined && value !== undefined ? [[key, value] as const] : []));
  return { ...Object.fromEntries(traits), [fact.key]: amount, ...(colour && { colour: colour.en }), ...(category.sizes && { size: variant }) };
}

function drawLanguage(random: Random, at: number): Language {
  if (at === 0) return 'en';
  const value = random.next();
  return value < 0.45 ? 'en' : value < 0.9 ? 'vi' : 'both';
}

function eans(random: Random, at: number): string[] {
  const value = random.next();
  if (value < 0.1) return [];
  return value < 0.15 ? [ean13(at * 2 + 1), ean13(at * 2 + 2)] : [ean13(at * 2 + 1)];
}

/** A name that no earlier product has: drawn again while it is taken, in the end numbered. */
function uniqueDraft(random: Random, at: number, isTaken: (product: Draft) => boolean): Draft {
  const category = categories[at % categories.length] ?? random.pick(categories);
  const item = category.items[Math.floor(at / categories.length) % category.items.length] ?? random.pick(category.items);
  for (let attempt = 0; attempt < 8; attempt += 1) {
    const product = draft(random, category, item);
    if (!isTaken(product)) return product;
  }
  const last = draft(random, category, item);
  return { ...last, variant: `${last.variant}, No. ${at + 1}` };
}

function sampleProduct(random: Random, at: number, names: Set<string>): SampleProduct {
  const spoken = drawLanguage(random, at);
  const nameOf = (one: Draft): string => inLanguage(spoken, ' / ', (tongue) => nameIn(tongue, one));
  const product = uniqueDraft(random, at, (one) => names.has(nameOf(one)));
  const name = nameOf(product);
  names.add(name);
  const sku = `MR-${String(at + 1).padStart(5, '0')}`;
  const isForeign = random.chance(0.15);
  const currency = (spoken === 'vi') === isForeign ? 'USD' : 'VND';
  const length = random.int(1, 3);
  return {
    sku,
    merchant_id: random.pick(merchants.slice(currency === 'USD' ? 0 : 3, currency === 'USD' ? 3 : 6)).id,
    name,
    description: at > 0 && random.chance(0.02) ? null : inLanguage(spoken, ' ', (tongue) => describeIn(tongue, product, length)),
    category: product.category.name,
    brand: product.brand,
    mpn: product.category.sizes || random.chance(0.2) ? null : `${product.variant}-${String(at + 1).padStart(4, '0')}`,
    ean: eans(random, at),
    price: price(random, product.category.usd, currency),
    currency,
    stock: stock(random),
    image_url: random.chance(0.05) ? null : `https://images.example.com/${sku.toLowerCase()}.jpg`,
    attributes: attributes(product),
    status: at === 0 || random.chance(0.98) ? 'active' : random.pick(['draft', 'archived'] as const),
  };
}

/**
 * A believable catalogue in English and Vietnamese (some products in one language, some in both). The same options give the
 * same products, in the same order, on every machine. Names and skus are unique.
 */
export function* sampleProducts({ count = 2_000, seed = DEFAULT_SEED }: SampleOptions = {}): Generator<SampleProduct, void> {
  const names = new Set<string>();
  for (let at = 0; at < count; at += 1) yield sampleProduct(createRandom(seed + at * 7_919), at, names);
}

/** The merchants that the products name. */
export const sampleMerchants = (): readonly { readonly id: number; readonly name: string }[] => merchants;
