/** Quantiles of the normal distribution: 95 % two-sided, and 80 % power. */
const Z_95 = 1.959_963_984_540_054;
const Z_POWER_80 = 0.841_621_233_572_914;

export interface Interval { readonly low: number; readonly high: number }
/** A rate of so many. `count` need not be whole: see `effectiveSize`. */
export interface Rate { readonly rate: number; readonly count: number }

/** Score interval of a rate, 95 %: Wilson (JASA 22, 1927), without continuity correction; method 3 of Newcombe (Statistics in Medicine 17, 1998, 857-872). [0, 1] where there is nothing. */
export function wilson({ rate, count }: Rate): Interval {
  if (count <= 0) return { low: 0, high: 1 };
  const square = Z_95 ** 2;
  const middle = rate + square / (2 * count);
  const spread = Z_95 * Math.sqrt((rate * (1 - rate)) / count + square / (4 * count ** 2));
  const scale = 1 + square / count;
  // At a rate of 0 or 1 rounding would leave the end a hair outside.
  return { low: rate === 0 ? 0 : Math.max(0, (middle - spread) / scale), high: rate === 1 ? 1 : Math.min(1, (middle + spread) / scale) };
}

/** Interval of the difference a - b of two independent rates, 95 %: the square-and-add of Wilson's, method 10 of Newcombe (Statistics in Medicine 17, 1998, 873-890). */
export function differenceInterval(a: Rate, b: Rate): Interval {
  const [ofA, ofB] = [wilson(a), wilson(b)];
  const difference = a.rate - b.rate;
  return { low: difference - Math.hypot(a.rate - ofA.low, ofB.high - b.rate), high: difference + Math.hypot(ofA.high - a.rate, b.rate - ofB.low) };
}

/** Sums over users, each with `tries` and `hits` of their own. */
export interface Clusters { readonly users: number; readonly tries: number; readonly hits: number; readonly triesSquared: number; readonly hitsSquared: number; readonly product: number }

/**
 * How many independent tries the tries of these users are worth, at most as many as they are: lists of one user are alike, so that counting each as
 * independent would make intervals too narrow. The variance of the ratio hits / tries by the delta method over users (Deng, Knoblich and Lu, "Applying the
 * Delta Method in Metric Analytics", KDD 2018), as a design effect on the sample size (Kish, "Survey Sampling", 1965; with Wilson's interval as in
 * Korn and Graubard, Survey Methodology 24, 1998).
 */
export function effectiveSize({ users, tries, hits, triesSquared, hitsSquared, product }: Clusters): number {
  if (users < 2 || tries === 0) return Math.min(users, tries);
  const rate = hits / tries;
  const independent = (rate * (1 - rate)) / tries;
  const variance = ((users / (users - 1)) * (hitsSquared - 2 * rate * product + rate ** 2 * triesSquared)) / tries ** 2;
  // Nobody or everybody: nothing tells how alike they are, so each user counts once.
  if (independent <= 0) return users;
  return Math.max(1, Math.min(tries, (tries * independent) / Math.max(variance, independent)));
}

/** Users that each of two variants needs for the difference to be found in 80 of 100 cases at 95 %: Fleiss, Levin and Paik, "Statistical Methods for Rates and Proportions" (3rd edition, 2003), section 4.3, without continuity correction; what R's power.prop.test computes. */
export function sampleSize(from: number, to: number, zPower = Z_POWER_80): number {
  const both = (from + to) * (1 - (from + to) / 2);
  const each = from * (1 - from) + to * (1 - to);
  return Math.ceil(((Z_95 * Math.sqrt(both) + zPower * Math.sqrt(each)) / (to - from)) ** 2);
}

/** Complementary error function, relative error below 1.2e-7: Press et al., "Numerical Recipes in C" (2nd edition, 1992), section 6.2. For x of at least 0. */
function erfc(x: number): number {
  const t = 1 / (1 + x / 2);
  const terms = [-1.265_512_23, 1.000_023_68, 0.374_091_96, 0.096_784_18, -0.186_288_06, 0.278_868_07, -1.135_203_98, 1.488_515_87, -0.822_152_23, 0.170_872_77];
  return t * Math.exp(-(x ** 2) + terms.reduceRight((sum, term) => sum * t + term, 0));
}

/** Probability of at least this chi-square with so many degrees of freedom: Q(k / 2, x / 2), from Q(1/2) or Q(1) upwards by Q(a + 1, y) = Q(a, y) + y^a e^-y / Gamma(a + 1) (Abramowitz and Stegun, 6.5.21). */
export function chiSquareProbability(chiSquare: number, degrees: number): number {
  const y = chiSquare / 2;
  let a = degrees % 2 === 0 ? 1 : 0.5;
  let probability = degrees % 2 === 0 ? Math.exp(-y) : erfc(Math.sqrt(y));
  let term = degrees % 2 === 0 ? y * Math.exp(-y) : Math.sqrt(y) * Math.exp(-y) / (Math.sqrt(Math.PI) / 2);
  for (; a < degrees / 2; a += 1) {
    probability += term;
    term *= y / (a + 1);
  }
  return Math.min(1, probability);
}

export interface SampleRatio { readonly chiSquare: number; readonly probability: number }
/** Fewer expected users than this in some part, and chi-square says nothing (Cochran, Biometrics 10, 1954). */
const MIN_EXPECTED = 5;

/** Pearson's chi-square of how users are divided against the weights; undefined where there are too few. Alarm below 0.001: Fabijan et al., "Diagnosing Sample Ratio Mismatch in Online Controlled Experiments" (KDD 2019). */
export function sampleRatio(parts: readonly { readonly users: number; readonly weight: number }[]): SampleRatio | undefined {
  const users = parts.reduce((sum, part) => sum + part.users, 0);
  const weights = parts.reduce((sum, part) => sum + part.weight, 0);
  const expected = parts.map(({ weight }) => (users * weight) / weights);
  if (expected.some((count) => count < MIN_EXPECTED)) return undefined;
  const chiSquare = parts.reduce((sum, part, at) => sum + (part.users - (expected[at] ?? 0)) ** 2 / (expected[at] ?? 1), 0);
  return { chiSquare, probability: chiSquareProbability(chiSquare, parts.length - 1) };
}
