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
FOR_EACH_CPU void evomerge_count(int64_t *counts, int low, uint32_t upper, const void *base,
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

/* mask[i] = 1 where draw number start + i is below `limit`, else 0. Draw d is word d / 16 % 4 of
   Philox4x32-10 (Salmon et al. 2011) with counter d / 64 * 16 + d % 16. `start` and the room in
   `mask` are multiples of 64. */
FOR_EACH_CPU void evomerge_mask(float *mask, uint32_t key0, uint32_t key1, uint64_t limit,
                                uint64_t start, int64_t count)
{
    enum { LANES = CHUNK / 4, ROW = 16 };
    uint32_t w0[LANES], w1[LANES], w2[LANES], w3[LANES];
    const uint32_t highest = (uint32_t)(limit - 1);
    if (limit == 0) {
        memset(mask, 0, (size_t)count * sizeof(float));
        return;
    }
    for (int64_t done = 0; done < count; done += CHUNK) {
        const uint64_t counter = (start + (uint64_t)done) / 4;
        uint32_t k0 = key0, k1 = key1;
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
        const int64_t left = count - done;
        const int rows = (int)((left < CHUNK ? left : CHUNK) / (4 * ROW));
        for (int row = 0; row < rows; row++) {
            float *to = mask + done + row * 4 * ROW;
            for (int i = 0; i < ROW; i++) {
                to[i] = w0[row * ROW + i] <= highest ? 1.0f : 0.0f;
                to[i + ROW] = w1[row * ROW + i] <= highest ? 1.0f : 0.0f;
                to[i + 2 * ROW] = w2[row * ROW + i] <= highest ? 1.0f : 0.0f;
                to[i + 3 * ROW] = w3[row * ROW + i] <= highest ? 1.0f : 0.0f;
            }
        }
    }
}
