import { z } from 'zod';
import { NOT_STORABLE, isStorable, problemOfAttributes } from './json-limits.ts';
import { jsonSchema } from './json-schema.ts';
import { currencySchema, isCurrency, priceInputSchema, toMinor } from './money.ts';

/** The one identifier of a product: the stream's `product_id` and the events' `asin` are the same value. */
export const skuSchema = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[^\p{C}\p{Zl}\p{Zp}/]+$/u, 'must be printable characters without "/"')
  .refine((sku) => sku === sku.trim() && sku !== '.' && sku !== '..', { error: 'must not begin or end with a space, nor be "." or ".."' })
  .meta({ description: 'Stock keeping unit, 1 to 128 printable characters without "/"', example: 'MR-0001' });

/** Characters that no reader sees but a computer compares: Unicode's ignorable ones (selectors, fillers, tags) and the empty braille pattern. */
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\u2800]/u;

/** Spaces of any other width look like the one of the keyboard, or like each other. */
const OTHER_SPACE = /(?! )\p{Zs}/u;

/** Of a product that is not there yet: none that differs from another one's only by what nobody sees. What is stored may have such a sku since before: it can be read, changed and deleted. */
export const newSkuSchema = skuSchema
  .refine((sku) => !INVISIBLE.test(sku), { error: 'must not hold invisible characters' })
  .refine((sku) => !OTHER_SPACE.test(sku), { error: 'must not hold spaces but the ordinary one (U+0020)' })
  .refine((sku) => sku === sku.normalize('NFC'), { error: 'must be in the Unicode form NFC: accents composed with their letters' })
  .meta({ description: 'Stock keeping unit, 1 to 128 printable characters without "/". Of a new product in the Unicode form NFC, without invisible characters and spaces but U+0020', example: 'MR-0001' });

export const productStatusSchema = z.enum(['draft', 'active', 'archived']);

/** A JSON object that every store can hold: at most 20 levels, names of 200 characters, 65,536 characters in all. */
export const attributesSchema = z
  .record(z.string(), z.unknown())
  .superRefine((value, ctx) => {
    const problem = problemOfAttributes(value);
    if (problem !== undefined) ctx.addIssue({ code: 'custom', message: problem });
  })
  .pipe(z.record(z.string(), jsonSchema))
  .meta({ example: { colour: 'black', wireless: true } });

const text = (max: number) => z.string().trim().min(1).max(max).refine(isStorable, NOT_STORABLE);
const optionalText = (max: number) => z.string().trim().max(max).refine(isStorable, NOT_STORABLE).transform((value) => (value === '' ? null : value)).nullable();

/** Fields that a client may write; shared by create, patch and import. */
export const productFields = {
  merchant_id: z.int().positive().max(2_147_483_647),
  name: text(500).meta({ example: 'Wireless noise-cancelling headphones' }),
  description: optionalText(20_000),
  category: optionalText(200).meta({ example: 'Audio' }),
  brand: optionalText(200).meta({ example: 'Nhật Minh' }),
  mpn: optionalText(500),
  ean: z.array(z.string().regex(/^\d{8,14}$/, 'must be 8 to 14 digits')).max(1_000),
  price: priceInputSchema.nullable(),
  currency: currencySchema,
  stock: z.int().min(0).max(2_147_483_647).nullable().meta({ description: 'Units in stock; null = unknown' }),
  image_url: z.url().max(2_000).refine(isStorable, NOT_STORABLE).nullable(),
  attributes: attributesSchema,
  status: productStatusSchema,
};

/** Refuses an amount that its currency cannot express: 0.5 VND, 1.999 USD. zod runs this after a wrong currency, too, which has its own issue. */
const priceFitsCurrency = { path: ['price'], error: 'has more decimals than its currency allows, or more digits than are exact' };
const fits = (product: { price?: string | null | undefined; currency?: string | undefined }): boolean =>
  product.price === null || product.price === undefined || product.currency === undefined || !isCurrency(product.currency) || toMinor(product.price, product.currency) !== undefined;

/** Body of POST /api/products. A missing currency is the service's DEFAULT_CURRENCY. */
export const newProductSchema = z
  .strictObject({
    sku: newSkuSchema,
    merchant_id: productFields.merchant_id.default(1),
    name: productFields.name,
    description: productFields.description.default(null),
    category: productFields.category.default(null),
    brand: productFields.brand.default(null),
    mpn: productFields.mpn.default(null),
    ean: productFields.ean.default([]),
    price: productFields.price.default(null),
    currency: productFields.currency.optional(),
    stock: productFields.stock.default(null),
    image_url: productFields.image_url.default(null),
    attributes: productFields.attributes.default({}),
    status: productFields.status.default('active'),
  })
  .refine(fits, priceFitsCurrency)
  .meta({ id: 'NewProduct' });
export type NewProduct = z.output<typeof newProductSchema>;

/** Body of PATCH /api/products/<sku>: what is given is replaced, what is not stays. */
export const productPatchSchema = z.strictObject(productFields).partial().refine(fits, priceFitsCurrency).meta({ id: 'ProductPatch' });
export type ProductPatch = z.output<typeof productPatchSchema>;

/** A product as it is served, exported and carried on `product:updates`. */
export const productSchema = z
  .object({
    sku: skuSchema,
    version: z.int().positive().meta({ description: 'Grows with every change of the row; order is by version, never by time' }),
    content_version: z.int().positive().meta({ description: 'Version at which anything but stock last changed' }),
    merchant_id: z.int(),
    name: z.string(),
    description: z.string().nullable(),
    category: z.string().nullable(),
    brand: z.string().nullable(),
    mpn: z.string().nullable(),
    ean: z.array(z.string()),
    price: z.number().nonnegative().nullable(),
    price_minor: z.int().nonnegative().nullable().meta({ description: 'Price in integer minor units of its currency' }),
    currency: z.string(),
    stock: z.int().nullable(),
    image_url: z.string().nullable(),
    attributes: z.record(z.string(), jsonSchema),
    status: productStatusSchema,
    created_at: z.string(),
    updated_at: z.string(),
  })
  .meta({ id: 'Product' });
export type Product = z.output<typeof productSchema>;
