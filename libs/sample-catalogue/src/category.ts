/** The same words in English and in Vietnamese. */
export interface Words {
  readonly en: string;
  readonly vi: string;
}

/** A property that goes into the name and, where it has a key, into the attributes. */
export interface Trait extends Words {
  readonly key?: string;
  readonly value?: string | boolean;
}

/** A sentence with a number `{n}`, which is an attribute too. */
export interface Fact extends Words {
  readonly key: string;
  readonly from: number;
  readonly to: number;
}

export interface Category {
  /** Value of the product's `category`. */
  readonly name: string;
  readonly usd: readonly [number, number];
  readonly items: readonly Words[];
  readonly traits: readonly Trait[];
  readonly facts: readonly Fact[];
  readonly notes: readonly Words[];
  /** Sizes that end a name; where there are none, it ends in a model code. */
  readonly sizes?: readonly string[];
  readonly hasColour: boolean;
}
