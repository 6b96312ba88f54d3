/* rollout/outcome_slots.c - outcomes by the time of their requests. */
#include "rollout/outcome_slots.h"

#define SLOTS_A_WAIT 8

static int64_t slot_us(int64_t told_us)
{
    return told_us >= SLOTS_A_WAIT ? told_us / SLOTS_A_WAIT : 1;
}

/* Rounded down below zero too: requests may be older than the clock. */
static int64_t number_of(struct mono_time at, int64_t told_us)
{
    int64_t length = slot_us(told_us);
    return at.us / length - (at.us % length < 0);
}

static bool is_due(int64_t number, int64_t told_us, struct mono_time now)
{
    return now.us >= (number + 1) * slot_us(told_us) + told_us;
}

bool outcome_slots_add(struct outcome_slots *s, int64_t told_us, struct mono_time now, struct mono_time at,
                       const struct outcome_slot *what)
{
    int64_t number = number_of(at, told_us);
    uint32_t i = 0;
    if (is_due(number, told_us, now))
        return false;
    while (i < s->count && (s->items[i].number != number || s->items[i].share_ppm != what->share_ppm ||
                            s->items[i].fresh_from_ppm != what->fresh_from_ppm))
        i++;
    if (i == OUTCOME_SLOTS)
        return false;
    if (i == s->count)
        s->items[s->count++] = (struct outcome_slot){ number, what->share_ppm, what->fresh_from_ppm, { 0 } };
    for (int arm = 0; arm < TALLY_ARM_COUNT; arm++)
        s->items[i].counts[arm] += what->counts[arm];
    return true;
}

struct mono_time outcome_slot_middle(const struct outcome_slot *slot, int64_t told_us)
{
    int64_t length = slot_us(told_us);
    return (struct mono_time){ slot->number * length + length / 2 };
}

bool outcome_slots_put_back(struct outcome_slots *s, int64_t told_us, struct mono_time middle,
                            const struct outcome_slot *what)
{
    if (s->count == OUTCOME_SLOTS)
        return false;
    s->items[s->count] = *what;
    s->items[s->count++].number = number_of(middle, told_us);
    return true;
}

bool outcome_slots_take(struct outcome_slots *s, int64_t told_us, struct mono_time now, struct outcome_slot *out)
{
    for (uint32_t i = 0; i < s->count; i++) {
        if (!is_due(s->items[i].number, told_us, now))
            continue;
        *out = s->items[i];
        s->items[i] = s->items[--s->count];
        return true;
    }
    return false;
}
