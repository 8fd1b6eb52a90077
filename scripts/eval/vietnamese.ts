/** The Vietnamese shop of the contract suite as an evaluation: our own cases, so it says what a part does, not how good the search is. */
import { EXACT, TELEX, UNACCENTED, VIETNAMESE_SHOP, VNI } from '@millrace/search/testing/vietnamese';
import type { JudgedQuery } from './icecat.ts';

export const vietnameseProducts = VIETNAMESE_SHOP;

export const vietnameseQueries: JudgedQuery[] = [...EXACT, ...UNACCENTED, ...TELEX, ...VNI].map(({ q, first, all }) => ({ text: q, grades: new Map((first ?? all ?? []).map((sku) => [sku, 1])) }));
