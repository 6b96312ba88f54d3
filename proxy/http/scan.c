/* http/scan.c - the scans in plain C, with SSE4.2 and with AVX2, and the choice among them.
 *
 * A head is read twice at most: for line ends and forbidden bytes together (a line end is a control like any other),
 * and for the end of each name. At 16 or 32 bytes a step both cost less than one look at each byte would. No scan
 * reads outside [at, end): the input may end where the page does. */
#include "http/scan.h"

#include <stdint.h>

#if defined __x86_64__
#include <immintrin.h>
#endif

/* What a byte is, for the plain twins and for runs too short for a register. CLASS_CONTROL is 1, so that it can be
   summed. */
enum byte_class { CLASS_CONTROL = 1, CLASS_TOKEN = 2, CLASS_TARGET = 4 };

#define BOTH   (CLASS_TOKEN | CLASS_TARGET)
#define TARGET CLASS_TARGET

static const uint8_t byte_classes[256] = {
    [0x00 ... 0x08] = CLASS_CONTROL,
    [0x0A ... 0x1F] = CLASS_CONTROL,
    [0x7F] = CLASS_CONTROL,
    ['!'] = BOTH,
    ['"'] = TARGET,
    ['#'] = CLASS_TOKEN,
    ['$' ... '\''] = BOTH,
    ['('] = TARGET,
    [')'] = TARGET,
    ['*'] = BOTH,
    ['+'] = BOTH,
    [','] = TARGET,
    ['-'] = BOTH,
    ['.'] = BOTH,
    ['/'] = TARGET,
    ['0' ... '9'] = BOTH,
    [':' ... '@'] = TARGET,
    ['A' ... 'Z'] = BOTH,
    ['[' ... ']'] = TARGET,
    ['^' ... 'z'] = BOTH,
    ['{'] = TARGET,
    ['|'] = BOTH,
    ['}'] = TARGET,
    ['~'] = BOTH,
};

static inline uint8_t byte_class(const char *at)
{
    return byte_classes[(unsigned char)*at];
}

static const char *control_plain(const char *at, const char *end)
{
    while (at < end && !(byte_class(at) & CLASS_CONTROL))
        at++;
    return at;
}

static const char *not_token_plain(const char *at, const char *end)
{
    while (at < end && (byte_class(at) & CLASS_TOKEN))
        at++;
    return at;
}

static const char *not_target_plain(const char *at, const char *end)
{
    while (at < end && (byte_class(at) & CLASS_TARGET))
        at++;
    return at;
}

static size_t count_controls_plain(const char *at, const char *end)
{
    size_t count = 0;
    for (; at < end; at++)
        count += byte_class(at) & CLASS_CONTROL;
    return count;
}

static bool plain_is_usable(void)
{
    return true;
}

#if defined __x86_64__

#define INLINE static inline __attribute__((always_inline))
#define SSE42  __attribute__((target("sse4.2")))
#define AVX2   __attribute__((target("avx2")))

/* Tokens by two table look-ups: token_rows[low nibble] has bit h set when the byte with high nibble h is of a token,
   nibble_bits[high nibble] is 1 << h, and 0 from 8 up. Twice each, for the two halves of a 32-byte register. */
static const int8_t token_rows[32] __attribute__((aligned(32))) = {
    -24, -4, -8, -4, -4, -4, -4, -4, -8, -8, -12, 84, -48, 84, -12, 112,
    -24, -4, -8, -4, -4, -4, -4, -4, -8, -8, -12, 84, -48, 84, -12, 112,
};
static const int8_t nibble_bits[32] __attribute__((aligned(32))) = {
    1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0,
};

/* Each mask has one bit a byte, set where it is one that the scan looks for. */
SSE42 INLINE unsigned control_mask16(__m128i bytes)
{
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1F)), bytes);
    __m128i tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7F));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del));
}

SSE42 INLINE unsigned not_token_mask16(__m128i bytes)
{
    __m128i high_nibbles = _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(0x0F));
    __m128i rows = _mm_shuffle_epi8(_mm_load_si128((const __m128i *)token_rows), bytes);
    __m128i bits = _mm_shuffle_epi8(_mm_load_si128((const __m128i *)nibble_bits), high_nibbles);
    __m128i is_other = _mm_cmpeq_epi8(_mm_and_si128(rows, bits), _mm_setzero_si128());
    return (unsigned)_mm_movemask_epi8(is_other);
}

/* Bytes from 0x80 up are negative here, so one comparison refuses them, controls and the space. */
SSE42 INLINE unsigned not_target_mask16(__m128i bytes)
{
    __m128i visible = _mm_cmpgt_epi8(bytes, _mm_set1_epi8(0x20));
    __m128i hash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('#'));
    __m128i del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7F));
    return ~(unsigned)_mm_movemask_epi8(_mm_andnot_si128(_mm_or_si128(hash, del), visible)) & 0xFFFF;
}

AVX2 INLINE unsigned control_mask32(__m256i bytes)
{
    __m256i low = _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1F)), bytes);
    __m256i tab = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\t'));
    __m256i del = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(0x7F));
    return (unsigned)_mm256_movemask_epi8(_mm256_or_si256(_mm256_andnot_si256(tab, low), del));
}

AVX2 INLINE unsigned not_token_mask32(__m256i bytes)
{
    __m256i high_nibbles = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(0x0F));
    __m256i rows = _mm256_shuffle_epi8(_mm256_load_si256((const __m256i *)token_rows), bytes);
    __m256i bits = _mm256_shuffle_epi8(_mm256_load_si256((const __m256i *)nibble_bits), high_nibbles);
    __m256i is_other = _mm256_cmpeq_epi8(_mm256_and_si256(rows, bits), _mm256_setzero_si256());
    return (unsigned)_mm256_movemask_epi8(is_other);
}

AVX2 INLINE unsigned not_target_mask32(__m256i bytes)
{
    __m256i visible = _mm256_cmpgt_epi8(bytes, _mm256_set1_epi8(0x20));
    __m256i hash = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('#'));
    __m256i del = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(0x7F));
    return ~(unsigned)_mm256_movemask_epi8(_mm256_andnot_si256(_mm256_or_si256(hash, del), visible));
}

SSE42 INLINE __m128i load16(const char *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

AVX2 INLINE __m256i load32(const char *at)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

/* Walks by 16. The last step overlaps bytes already found clean; what is shorter than 16 goes to the plain twin.
   `first` is where the run began: from there on may be read. */
SSE42 INLINE const char *walk16(const char *first, const char *at, const char *end, unsigned (*mask_of)(__m128i),
                                scan_fn *plain)
{
    for (; end - at >= 16; at += 16) {
        unsigned mask = mask_of(load16(at));
        if (mask != 0)
            return at + __builtin_ctz(mask);
    }
    if (end - first < 16)
        return plain(at, end);
    unsigned mask = mask_of(load16(end - 16));
    return mask != 0 ? end - 16 + __builtin_ctz(mask) : end;
}

AVX2 INLINE const char *walk32(const char *at, const char *end, unsigned (*mask_of)(__m256i),
                               unsigned (*mask16_of)(__m128i), scan_fn *plain)
{
    const char *first = at;
    for (; end - at >= 32; at += 32) {
        unsigned mask = mask_of(load32(at));
        if (mask != 0)
            return at + __builtin_ctz(mask);
    }
    return walk16(first, at, end, mask16_of, plain);
}

/* Few are set, if any: no POPCNT needed. */
INLINE size_t bit_count(unsigned mask)
{
    size_t count = 0;
    for (; mask != 0; mask &= mask - 1)
        count++;
    return count;
}

/* Counts by 16; of a last step that overlaps, only the bytes not yet counted. `first` as above. */
SSE42 INLINE size_t count16(const char *first, const char *at, const char *end)
{
    size_t count = 0;
    for (; end - at >= 16; at += 16)
        count += bit_count(control_mask16(load16(at)));
    if (end - first < 16)
        return count + count_controls_plain(at, end);
    unsigned mask = control_mask16(load16(end - 16));
    return count + bit_count(mask >> (16 - (end - at)));
}

SSE42 static size_t count_controls_sse42(const char *at, const char *end)
{
    return count16(at, at, end);
}

AVX2 static size_t count_controls_avx2(const char *at, const char *end)
{
    const char *first = at;
    size_t count = 0;
    for (; end - at >= 32; at += 32)
        count += bit_count(control_mask32(load32(at)));
    return count + count16(first, at, end);
}

SSE42 static const char *control_sse42(const char *at, const char *end)
{
    return walk16(at, at, end, control_mask16, control_plain);
}

SSE42 static const char *not_token_sse42(const char *at, const char *end)
{
    return walk16(at, at, end, not_token_mask16, not_token_plain);
}

SSE42 static const char *not_target_sse42(const char *at, const char *end)
{
    return walk16(at, at, end, not_target_mask16, not_target_plain);
}

AVX2 static const char *control_avx2(const char *at, const char *end)
{
    return walk32(at, end, control_mask32, control_mask16, control_plain);
}

AVX2 static const char *not_token_avx2(const char *at, const char *end)
{
    return walk32(at, end, not_token_mask32, not_token_mask16, not_token_plain);
}

AVX2 static const char *not_target_avx2(const char *at, const char *end)
{
    return walk32(at, end, not_target_mask32, not_target_mask16, not_target_plain);
}

static bool sse42_is_usable(void)
{
    return __builtin_cpu_supports("sse4.2");
}

static bool avx2_is_usable(void)
{
    return __builtin_cpu_supports("avx2");
}

/* Reading the processor's feature bits is one load and a branch that is always predicted: cheaper than a pointer to
   call through, and no global to set up. */
#define CHOOSE(scan, at, end)                                                                                          \
    (avx2_is_usable() ? scan##_avx2(at, end) : sse42_is_usable() ? scan##_sse42(at, end) : scan##_plain(at, end))

const struct scan_variant scan_variants[SCAN_VARIANT_COUNT] = {
    { "plain", plain_is_usable, control_plain, not_token_plain, not_target_plain, count_controls_plain },
    { "sse4.2", sse42_is_usable, control_sse42, not_token_sse42, not_target_sse42, count_controls_sse42 },
    { "avx2", avx2_is_usable, control_avx2, not_token_avx2, not_target_avx2, count_controls_avx2 },
};

#else

#define CHOOSE(scan, at, end) scan##_plain(at, end)

const struct scan_variant scan_variants[SCAN_VARIANT_COUNT] = {
    { "plain", plain_is_usable, control_plain, not_token_plain, not_target_plain, count_controls_plain },
};

#endif

const char *scan_control(const char *at, const char *end)
{
    return CHOOSE(control, at, end);
}

const char *scan_not_token(const char *at, const char *end)
{
    return CHOOSE(not_token, at, end);
}

const char *scan_not_target(const char *at, const char *end)
{
    return CHOOSE(not_target, at, end);
}

size_t scan_count_controls(const char *at, const char *end)
{
    return CHOOSE(count_controls, at, end);
}
