/* rollout/progress.c - names of states, what of a configuration counts, and the stored form. */
#include "rollout/progress.h"

#include "base/check.h"
#include "base/hash.h"

#include <inttypes.h>

const char *const rollout_state_names[ROLLOUT_STATE_COUNT] = {
    [ROLLOUT_PENDING] = "pending",
    [ROLLOUT_RUNNING] = "running",
    [ROLLOUT_HOLDING] = "holding",
    [ROLLOUT_AWAITING_APPROVAL] = "awaiting_approval",
    [ROLLOUT_AWAITING_WEBHOOK] = "awaiting_webhook",
    [ROLLOUT_PAUSED] = "paused",
    [ROLLOUT_BAKING] = "baking",
    [ROLLOUT_SUCCEEDED] = "succeeded",
    [ROLLOUT_ROLLING_BACK] = "rolling_back",
    [ROLLOUT_ROLLED_BACK] = "rolled_back",
    [ROLLOUT_FAILED] = "failed",
};

bool rollout_state_read(struct slice name, enum rollout_state *out)
{
    for (unsigned i = 0; i < ROLLOUT_STATE_COUNT; i++)
        if (slice_equal(name, slice_from_cstr(rollout_state_names[i]))) {
            *out = (enum rollout_state)i;
            return true;
        }
    return false;
}

bool rollout_state_is_over(enum rollout_state state)
{
    return state == ROLLOUT_ROLLED_BACK || state == ROLLOUT_FAILED;
}

bool rollout_state_is_active(enum rollout_state state)
{
    return state >= ROLLOUT_RUNNING && state <= ROLLOUT_BAKING;
}

bool person_copy(char out[PERSON_BYTES], struct slice name)
{
    if (name.len >= PERSON_BYTES)
        return false;
    memcpy(out, name.len ? name.ptr : "", name.len);
    out[name.len] = '\0';
    return true;
}

/* ---- what of a configuration counts ------------------------------------------------------------------------------ */

static const struct hash_key hash_key_of_plans = { UINT64_C(0x7765697270616972), UINT64_C(0x7765697273746570) };

static uint64_t hash_add(uint64_t sum, struct slice s)
{
    return hash_mix(sum ^ hash_siphash(hash_key_of_plans, s.len ? s.ptr : "", s.len)) + 1;
}

static uint64_t hash_add_number(uint64_t sum, uint64_t number)
{
    return hash_mix(sum ^ hash_mix(number)) + 1;
}

/* Evidence about one pair says nothing of another. */
uint64_t progress_pair_hash(const struct rollout_config *config)
{
    return hash_add(hash_add(hash_add(1, config->route), config->stable), config->canary);
}

/* Guardrails by name: bits of `accepted` are their places. */
uint64_t progress_steps_hash(const struct rollout_config *config)
{
    uint64_t sum = 2;
    for (size_t i = 0; i < config->step_count; i++) {
        const struct step_config *step = &config->steps[i];
        sum = hash_add_number(sum, step->kind);
        sum = hash_add_number(sum, step->weight_ppm);
        sum = hash_add_number(sum, (uint64_t)step->hold_ms);
        sum = hash_add_number(sum, step->min_requests);
        sum = hash_add_number(sum, (uint64_t)step->require << 1 | step->is_starter_allowed);
        sum = hash_add_number(sum, step->approve_count);
        sum = hash_add_number(sum, step->kind == STEP_WEBHOOK ? (uint64_t)step->timeout_ms : 0);
        sum = hash_add(sum, step->webhook);
        for (size_t k = 0; k < step->approvers.count; k++)
            sum = hash_add(sum, step->approvers.items[k]);
    }
    for (size_t i = 0; i < config->guardrail_count; i++)
        sum = hash_add(sum, config->guardrails[i].name);
    return sum;
}

bool progress_fits(const struct progress *p, const struct rollout_config *config)
{
    return slice_equal(slice_from_cstr(p->revision), config->revision) && p->pair_hash == progress_pair_hash(config) &&
           p->steps_hash == progress_steps_hash(config);
}

void progress_init(struct progress *p, const struct rollout_config *config)
{
    *p = (struct progress){ .state = ROLLOUT_PENDING, .step = -1 };
    CHECK(config->revision.len <= REVISION_MAX_BYTES);
    memcpy(p->revision, config->revision.len ? config->revision.ptr : "", config->revision.len);
    p->pair_hash = progress_pair_hash(config);
    p->steps_hash = progress_steps_hash(config);
}

/* ---- stored ------------------------------------------------------------------------------------------------------ */

/* Numbers only, in this order; hashes as text in hexadecimal, because JSON's numbers end at 2^53 for most who read it. */
void progress_write_detail(const struct progress *p, struct text *out)
{
    text_printf(out,
                "{\"version\":1,\"paused_from\":%u,\"is_failure\":%u,\"hold_ms\":%" PRId64 ",\"step_requests\":%" PRIu64
                ",\"accepted\":%" PRIu32 ",\"pair\":\"%016" PRIx64 "\",\"steps\":\"%016" PRIx64 "\"}",
                (unsigned)p->paused_from, (unsigned)p->is_failure, p->hold_ms, p->step_requests, p->accepted,
                p->pair_hash, p->steps_hash);
}

static bool take_word(struct slice *s, const char *word)
{
    struct slice prefix = slice_from_cstr(word);
    if (!slice_has_prefix(*s, prefix))
        return false;
    *s = slice_after(*s, prefix.len);
    return true;
}

static bool take_member(struct slice *s, const char *key, uint64_t max, uint64_t *out)
{
    size_t len = 0;
    if (!take_word(s, key))
        return false;
    while (len < s->len && s->ptr[len] >= '0' && s->ptr[len] <= '9')
        len++;
    bool is_number = slice_to_u64(slice_first(*s, len), out) && *out <= max;
    *s = slice_after(*s, len);
    return is_number;
}

static bool take_hash(struct slice *s, const char *key, uint64_t *out)
{
    if (!take_word(s, key) || s->len < 16)
        return false;
    *out = 0;
    for (size_t i = 0; i < 16; i++) {
        const char *digits = "0123456789abcdef", *digit = s->ptr[i] ? strchr(digits, s->ptr[i]) : NULL;
        if (digit == NULL)
            return false;
        *out = *out << 4 | (uint64_t)(digit - digits);
    }
    *s = slice_after(*s, 16);
    return true;
}

/* Nobody but progress_write_detail writes these: another order is another version. */
bool progress_read_detail(struct slice s, struct progress *p)
{
    uint64_t from, failure, hold, requests, accepted, pair, steps;
    bool is_good = take_word(&s, "{\"version\":1") && take_member(&s, ",\"paused_from\":", ROLLOUT_BAKING, &from) &&
                   take_member(&s, ",\"is_failure\":", 1, &failure) &&
                   take_member(&s, ",\"hold_ms\":", INT64_MAX, &hold) &&
                   take_member(&s, ",\"step_requests\":", UINT64_MAX, &requests) &&
                   take_member(&s, ",\"accepted\":", UINT32_MAX, &accepted) && take_hash(&s, ",\"pair\":\"", &pair) &&
                   take_hash(&s, "\",\"steps\":\"", &steps) && take_word(&s, "\"}") && s.len == 0;
    if (!is_good)
        return false;
    p->paused_from = (enum rollout_state)from;
    p->is_failure = failure != 0;
    p->hold_ms = (int64_t)hold;
    p->step_requests = requests;
    p->accepted = (uint32_t)accepted;
    p->pair_hash = pair;
    p->steps_hash = steps;
    return true;
}
