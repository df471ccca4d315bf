/* The inner loops of merging, fused so that each element is read and written once.

   Plain C without Python: loaded through ctypes by native.py. Where no compiler was at hand when
   evomerge was installed, the torch code beside each call gives the same bits, more slowly: both
   widen to float32, multiply first, then add with fused multiply-add from left to right, and round
   to nearest even once. */

#include <stdint.h>
#include <string.h>

#define CHUNK 1024 /* 4 KiB of float32: the partial sums stay in the L1 cache */
#define INFINITY_BITS 0x7f800000u
#define MAGNITUDE 0x7fffffffu

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && __GNUC__ >= 12
#define FOR_EACH_CPU __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FOR_EACH_CPU
#endif

enum { FLOAT32 = 0, BFLOAT16 = 1 };

static inline uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

static inline float widen(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static inline uint16_t narrow(float value) /* to nearest, ties to even; not for NaN */
{
    uint32_t bits = bits_of(value);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/* Write `count` values as `dtype`; return whether all are finite. */
static inline int store(void *out, int dtype, int64_t start, const float *values, int count)
{
    uint32_t top = 0;
    for (int i = 0; i < count; i++) {
        uint32_t bits = bits_of(values[i]) & MAGNITUDE;
        top = bits > top ? bits : top;
    }
    if (dtype == BFLOAT16) {
        uint16_t *to = (uint16_t *)out + start;
        for (int i = 0; i < count; i++)
            to[i] = narrow(values[i]);
    } else {
        memcpy((float *)out + start, values, (size_t)count * sizeof(float));
    }
    return top < INFINITY_BITS;
}

/* Whether no element is NaN or infinite. */
FOR_EACH_CPU int evomerge_finite(const void *input, int dtype, int64_t count)
{
    uint32_t top = 0;
    if (dtype == BFLOAT16) {
        const uint16_t *half = input;
        for (int64_t i = 0; i < count; i++) {
            uint32_t bits = half[i] & 0x7fffu;
            top = bits > top ? bits : top;
        }
        return top < INFINITY_BITS >> 16;
    }
    const uint32_t *full = input;
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = full[i] & MAGNITUDE;
        top = bits > top ? bits : top;
    }
    return top < INFINITY_BITS;
}

/* out = sum of factors[k] * inputs[k]; return whether all of it is finite. */
FOR_EACH_CPU int evomerge_combine(void *out, int out_dtype, const void *const *inputs,
                                  const int *dtypes, const float *factors, int n, int64_t count)
{
    float sum[CHUNK];
    int finite = 1;
    for (int64_t start = 0; start < count; start += CHUNK) {
        int size = count - start < CHUNK ? (int)(count - start) : CHUNK;
        for (int k = 0; k < n; k++) {
            const float factor = factors[k];
            const uint16_t *half = (const uint16_t *)inputs[k] + start;
            const float *full = (const float *)inputs[k] + start;
            if (dtypes[k] == BFLOAT16 && k == 0)
                for (int i = 0; i < size; i++)
                    sum[i] = factor * widen(half[i]);
            else if (dtypes[k] == BFLOAT16)
                for (int i = 0; i < size; i++)
                    sum[i] = __builtin_fmaf(factor, widen(half[i]), sum[i]);
            else if (k == 0)
                for (int i = 0; i < size; i++)
                    sum[i] = factor * full[i];
            else
                for (int i = 0; i < size; i++)
                    sum[i] = __builtin_fmaf(factor, full[i], sum[i]);
        }
        finite &= store(out, out_dtype, start, sum, size);
    }
    return finite;
}

/* Widened values of `input`, or their differences from `base`. */
static inline void task_vector(float *to, const void *base, int base_dtype, const void *input,
                               int dtype, int64_t start, int count)
{
    const uint16_t *half = (const uint16_t *)input + start;
    const float *full = (const float *)input + start;
    const uint16_t *base_half = (const uint16_t *)base + start;
    const float *base_full = (const float *)base + start;
    if (dtype == BFLOAT16)
        for (int i = 0; i < count; i++)
            to[i] = widen(half[i]);
    else
        memcpy(to, full, (size_t)count * sizeof(float));
    if (base_dtype == BFLOAT16)
        for (int i = 0; i < count; i++)
            to[i] -= widen(base_half[i]);
    else
        for (int i = 0; i < count; i++)
            to[i] -= base_full[i];
}

/* Count magnitudes of the task vector by their upper 16 bits (`low` 0, 2^15 bins) or, among those
   whose upper bits are `upper`, by their lower 16 bits (`low` 1, 2^16 bins); add to `counts`. */
static inline void count_magnitudes(int64_t *counts, int low, uint32_t upper, const void *base,
                                    int base_dtype, const void *input, int dtype, int64_t count)
{
    float delta[CHUNK];
    uint32_t bits[CHUNK];
    for (int64_t start = 0; start < count; start += CHUNK) {
        int size = count - start < CHUNK ? (int)(count - start) : CHUNK;
        task_vector(delta, base, base_dtype, input, dtype, start, size);
        for (int i = 0; i < size; i++)
            bits[i] = bits_of(delta[i]) & MAGNITUDE;
        if (!low) {
            for (int i = 0; i < size; i++)
                counts[bits[i] >> 16]++;
        } else {
            for (int i = 0; i < size; i++)
                if (bits[i] >> 16 == upper)
                    counts[bits[i] & 0xffffu]++;
        }
    }
}

/* Bin, from the top, in which the `*wanted`th element lies; `*wanted` becomes its place there. */
static uint32_t bin_of(const int64_t *counts, uint32_t bins, int64_t *wanted)
{
    uint32_t bin = bins - 1;
    for (; bin > 0 && *wanted > counts[bin]; bin--)
        *wanted -= counts[bin];
    return bin;
}

/* Bits of the `keep`th largest magnitude of the task vector. `first`, 2^15 counts by the upper 16
   bits, is filled unless `counted`; `second` is room for 2^16 counts. `*nth` becomes the element's
   place among the `*total` with this magnitude. */
FOR_EACH_CPU uint32_t evomerge_select(int64_t keep, int64_t *nth, int64_t *total, int64_t *first,
                                      int counted, int64_t *second, const void *base,
                                      int base_dtype, const void *input, int dtype,
                                      int64_t count)
{
    const uint32_t bins = 1u << 15;
    if (!counted) {
        memset(first, 0, bins * sizeof(int64_t));
        count_magnitudes(first, 0, 0, base, base_dtype, input, dtype, count);
    }
    *nth = keep;
    const uint32_t upper = bin_of(first, bins, nth);
    memset(second, 0, 2 * bins * sizeof(int64_t));
    count_magnitudes(second, 1, upper, base, base_dtype, input, dtype, count);
    const uint32_t lower = bin_of(second, 2 * bins, nth);
    *total = second[lower];
    return upper << 16 | lower;
}

/* Index of the `nth` (from 1) element of the task vector with this magnitude; -1 if there is none. */
FOR_EACH_CPU int64_t evomerge_find(uint32_t magnitude, int64_t nth, const void *base,
                                   int base_dtype, const void *input, int dtype, int64_t count)
{
    float delta[CHUNK];
    for (int64_t start = 0; start < count; start += CHUNK) {
        int size = count - start < CHUNK ? (int)(count - start) : CHUNK;
        int64_t here = 0;
        task_vector(delta, base, base_dtype, input, dtype, start, size);
        for (int i = 0; i < size; i++)
            here += (bits_of(delta[i]) & MAGNITUDE) == magnitude;
        if (here < nth) {
            nth -= here;
            continue;
        }
        for (int i = 0; i < size; i++)
            if ((bits_of(delta[i]) & MAGNITUDE) == magnitude && --nth == 0)
                return start + i;
    }
    return -1;
}

/* `size` elements of a mask from draw number `start` on, a multiple of 64; see masks.py. Draw d is
   word d / 16 % 4 of Philox4x32-10 (Salmon et al. 2011) with counter d / 64 * 16 + d % 16. `mask`
   has room for CHUNK. */
static inline void draw(float *mask, uint32_t k0, uint32_t k1, uint64_t limit, uint64_t start,
                        int size)
{
    enum { LANES = CHUNK / 4, ROW = 16 };
    uint32_t w0[LANES], w1[LANES], w2[LANES], w3[LANES];
    const uint64_t counter = start / 4;
    const uint32_t highest = (uint32_t)(limit - 1);
    const int rows = (size + 4 * ROW - 1) / (4 * ROW);
    if (limit == 0) {
        memset(mask, 0, CHUNK * sizeof(float));
        return;
    }
    for (int i = 0; i < LANES; i++) {
        w0[i] = (uint32_t)(counter + (uint64_t)i);
        w1[i] = (uint32_t)((counter + (uint64_t)i) >> 32);
        w2[i] = w3[i] = 0;
    }
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
        for (int i = 0; i < LANES; i++) {
            const uint64_t a = (uint64_t)0xD2511F53u * w0[i];
            const uint64_t b = (uint64_t)0xCD9E8D57u * w2[i];
            w0[i] = (uint32_t)(b >> 32) ^ w1[i] ^ k0;
            w2[i] = (uint32_t)(a >> 32) ^ w3[i] ^ k1;
            w1[i] = (uint32_t)b;
            w3[i] = (uint32_t)a;
        }
    for (int row = 0; row < rows; row++) {
        float *to = mask + row * 4 * ROW;
        for (int i = 0; i < ROW; i++) {
            to[i] = w0[row * ROW + i] <= highest ? 1.0f : 0.0f;
            to[i + ROW] = w1[row * ROW + i] <= highest ? 1.0f : 0.0f;
            to[i + 2 * ROW] = w2[row * ROW + i] <= highest ? 1.0f : 0.0f;
            to[i + 3 * ROW] = w3[row * ROW + i] <= highest ? 1.0f : 0.0f;
        }
    }
}

/* mask[i] = 1 where draw number start + i is below `limit`, else 0; `start` and the room in `mask`
   are multiples of 64. */
FOR_EACH_CPU void evomerge_mask(float *mask, uint32_t key0, uint32_t key1, uint64_t limit,
                                uint64_t start, int64_t count)
{
    float part[CHUNK];
    for (int64_t done = 0; done < count; done += CHUNK) {
        int size = count - done < CHUNK ? (int)(count - done) : CHUNK;
        draw(part, key0, key1, limit, start + (uint64_t)done, size);
        memcpy(mask + done, part, (size_t)size * sizeof(float));
    }
}

enum { WHOLE = 0, LARGEST = 1, RANDOM = 2 }; /* what is kept of a task vector */
enum { SUM = 0, BY_SUM = 1, BY_COUNT = 2 };  /* merged by adding all, or those of a sign */

typedef struct {
    const void *data;
    int64_t last;   /* LARGEST: elements of just this magnitude are kept up to this index */
    uint64_t limit; /* RANDOM: draws below it are kept */
    uint32_t key0, key1;
    int32_t dtype;
    int32_t keep;
    float threshold; /* LARGEST: larger magnitudes are kept */
    float divisor;   /* RANDOM: what is kept is divided by this, */
    float factor;    /* and multiplied by this */
    float weight;
} vector_t;

/* The weighted task vector of `from` less what isn't kept of it; for a sum not weighted yet. */
static inline void cast(float *vote, const vector_t *from, const void *base, int base_dtype,
                        int64_t start, int size, int how)
{
    float mask[CHUNK];
    const float threshold = from->threshold, divisor = from->divisor, factor = from->factor;
    task_vector(vote, base, base_dtype, from->data, from->dtype, start, size);
    if (from->keep == LARGEST) {
        /* Up to here equal magnitudes are kept. */
        const int64_t left = from->last + 1 - start;
        const int equal = left < 0 ? 0 : left > size ? size : (int)left;
        for (int i = 0; i < equal; i++)
            vote[i] = __builtin_fabsf(vote[i]) >= threshold ? vote[i] : 0.0f;
        for (int i = equal; i < size; i++)
            vote[i] = __builtin_fabsf(vote[i]) > threshold ? vote[i] : 0.0f;
    } else if (from->keep == RANDOM) {
        draw(mask, from->key0, from->key1, from->limit, (uint64_t)start, size);
        for (int i = 0; i < size; i++)
            vote[i] = vote[i] * mask[i] / divisor * factor;
    }
    if (how != SUM)
        for (int i = 0; i < size; i++)
            vote[i] *= from->weight;
}

/* Sign of the votes' sum (or of their count) for each element; `zero` where that is 0. */
static inline void elect(float *sign, const float *votes, int n, int how, float zero, int size)
{
    for (int i = 0; i < size; i++)
        sign[i] = 0.0f;
    for (int k = 0; k < n; k++) {
        const float *vote = votes + k * CHUNK;
        if (how == BY_COUNT)
            for (int i = 0; i < size; i++)
                sign[i] += (float)((vote[i] > 0) - (vote[i] < 0));
        else
            for (int i = 0; i < size; i++)
                sign[i] += vote[i];
    }
    for (int i = 0; i < size; i++)
        sign[i] = sign[i] > 0 ? 1.0f : sign[i] < 0 ? -1.0f : zero;
}

/* out = base + scale * (the task vectors merged); return whether all of it is finite. `votes` has
   room for n * CHUNK; `lowest` is the smallest weight that can agree, 0 for a sum that isn't
   divided by the weights that agree. */
FOR_EACH_CPU int evomerge_vectors(void *out, int out_dtype, const void *base, int base_dtype,
                                  const vector_t *vectors, int n, int how, float zero,
                                  float lowest, float scale, float *votes, int64_t count)
{
    float sign[CHUNK], merged[CHUNK], share[CHUNK], plain[CHUNK];
    int finite = 1;
    for (int64_t start = 0; start < count; start += CHUNK) {
        int size = count - start < CHUNK ? (int)(count - start) : CHUNK;
        for (int k = 0; k < n; k++)
            cast(votes + k * CHUNK, vectors + k, base, base_dtype, start, size, how);
        if (base_dtype == BFLOAT16)
            for (int i = 0; i < size; i++)
                plain[i] = widen(((const uint16_t *)base + start)[i]);
        else
            memcpy(plain, (const float *)base + start, (size_t)size * sizeof(float));
        if (how == SUM) { /* the weights are left for here, where they multiply and add at once */
            for (int k = 0; k < n; k++)
                for (int i = 0; i < size; i++)
                    plain[i] = __builtin_fmaf(votes[k * CHUNK + i], vectors[k].weight, plain[i]);
            finite &= store(out, out_dtype, start, plain, size);
            continue;
        }
        elect(sign, votes, n, how, zero, size);
        for (int i = 0; i < size; i++)
            merged[i] = share[i] = 0.0f;
        for (int k = 0; k < n; k++) {
            const float *vote = votes + k * CHUNK;
            const float weight = __builtin_fabsf(vectors[k].weight);
            for (int i = 0; i < size; i++) {
                const float agreeing = vote[i] * sign[i];
                merged[i] += agreeing > 0 ? agreeing : 0.0f;
                share[i] += agreeing > 0 ? weight : 0.0f;
            }
        }
        for (int i = 0; i < size; i++)
            merged[i] *= sign[i];
        if (lowest > 0)
            for (int i = 0; i < size; i++)
                merged[i] /= share[i] > lowest ? share[i] : lowest;
        for (int i = 0; i < size; i++)
            merged[i] = __builtin_fmaf(merged[i], scale, plain[i]);
        finite &= store(out, out_dtype, start, merged, size);
    }
    return finite;
}
